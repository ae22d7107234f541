// openid-client, unmodified: every way of asking a person, and what comes back.
import { SignJWT } from "jose";
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
    const parameters = more.request ? more : { ...asked, login_hint: hint, ...more };
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

async function poll(auth_req_id) {
  try {
    await client.genericGrantRequest(config, "urn:openid:params:grant-type:ciba", { auth_req_id });
  } catch (error) {
    return error.error;
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
// Its own polling gives up by itself when `expires_in` is over.
const short = await client.initiateBackchannelAuthentication(config, {
  ...asked,
  login_hint: "carol",
  requested_expiry: "1",
});
await new Promise((wake) => setTimeout(wake, 1100));
results.expired = await poll(short.auth_req_id);
const pair = await client.randomDPoPKeyPair("ES256");
results.dpop = await attempt("alice", { DPoP: client.getDPoPHandle(config, pair) });
if (!CLIENT_SECRET) {
  const { authorization_details, ...plain } = asked;
  const request = await new SignJWT({
    ...plain,
    login_hint: "alice",
    authorization_details: JSON.parse(authorization_details),
    jti: crypto.randomUUID(),
  })
    .setProtectedHeader({ alg: "ES256", kid: jwk.kid })
    .setIssuer(CLIENT_ID)
    .setAudience(ISSUER)
    .setIssuedAt()
    .setNotBefore("0s")
    .setExpirationTime("60s")
    .sign(key.key);
  results.signed = await attempt(undefined, undefined, { request });
}
const waiting = await client.initiateBackchannelAuthentication(config, {
  ...asked,
  login_hint: "carol",
});
results.polled = [await poll(waiting.auth_req_id), await poll(waiting.auth_req_id)];
const introspected = await client.tokenIntrospection(config, results.approved.access_token);
results.introspected = { active: introspected.active, details: introspected.authorization_details };
await client.tokenRevocation(config, results.approved.access_token);
results.revoked = await client.tokenIntrospection(config, results.approved.access_token);
const machine = await client.clientCredentialsGrant(config, { resource: RESOURCE });
results.machine = { scope: machine.scope, type: machine.token_type };
console.log(JSON.stringify(results));
