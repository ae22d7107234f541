// openid-client, unmodified: every way of asking a person, and what comes back.
import * as client from "openid-client";

const { ISSUER, RESOURCE, CLIENT_ID, CLIENT_SECRET, PRIVATE_JWK } = process.env;
const insecure = { execute: [client.allowInsecureRequests] };
const jwk = JSON.parse(PRIVATE_JWK);
const key = {
  key: await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
  ]),
  kid: jwk.kid,
};
const method = CLIENT_SECRET
  ? client.ClientSecretBasic(CLIENT_SECRET)
  : client.PrivateKeyJwt(key);
const config = await client.discovery(new URL(ISSUER), CLIENT_ID, undefined, method, insecure);
const asked = {
  scope: "openid",
  binding_message: "W4SCT",
  requested_expiry: "60",
  resource: RESOURCE,
  authorization_details: JSON.stringify([{ type: "payment", amount: 25 }]),
};

async function attempt(hint, options, more = {}) {
  try {
    let parameters = { ...asked, login_hint: hint, ...more };
    const response = await client.initiateBackchannelAuthentication(config, parameters);
    const tokens = await client.pollBackchannelAuthenticationGrant(
      config,
      { ...response, interval: 0.2 },
      undefined,
      options,
    );
    return {
      sub: tokens.claims().sub,
      type: tokens.token_type,
      details: tokens.authorization_details,
      expires_in: response.expires_in,
      access_token: tokens.access_token,
    };
  } catch (error) {
    return { error: error.error ?? error.code ?? String(error), status: error.status };
  }
}

const results = {};
results.approved = await attempt("alice");
results.denied = await attempt("bob");
results.unknown = await attempt("nobody");
results.bad_details = await attempt("alice", undefined, {
  authorization_details: JSON.stringify([{ type: "payment" }]),
});
results.bad_message = await attempt("alice", undefined, { binding_message: "a\u202eb" });
results.bad_target = await attempt("alice", undefined, { resource: "https://other.example" });
results.expired = await attempt("carol", undefined, { requested_expiry: "1" });
const pair = await client.randomDPoPKeyPair("ES256");
results.dpop = await attempt("alice", { DPoP: client.getDPoPHandle(config, pair) });
const introspected = await client.tokenIntrospection(config, results.approved.access_token);
results.introspected = { active: introspected.active, details: introspected.authorization_details };
await client.tokenRevocation(config, results.approved.access_token);
results.revoked = await client.tokenIntrospection(config, results.approved.access_token);
const machine = await client.clientCredentialsGrant(config, { resource: RESOURCE });
results.machine = { scope: machine.scope, type: machine.token_type };
console.log(JSON.stringify(results));
