// oauth4webapi, unmodified: signed requests, polls by hand, every end, tokens bound to a key.
import * as o from "oauth4webapi";

const { ISSUER, CLIENT_ID, PRIVATE_JWK } = process.env;
const insecure = { [o.allowInsecureRequests]: true };
const jwk = JSON.parse(PRIVATE_JWK);
const key = {
  key: await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
  ]),
  kid: jwk.kid,
};
const issuer = new URL(ISSUER);
const as = await o.processDiscoveryResponse(issuer, await o.discoveryRequest(issuer, insecure));
const client = { client_id: CLIENT_ID };
const auth = o.PrivateKeyJwt(key);

async function ask(hint, more = {}) {
  const request = await o.issueRequestObject(
    as,
    client,
    {
      scope: "openid",
      login_hint: hint,
      binding_message: "W4SCT",
      authorization_details: JSON.stringify([{ type: "payment", amount: 25 }]),
      ...more,
    },
    key,
  );
  const response = await o.backchannelAuthenticationRequest(
    as,
    client,
    auth,
    { request },
    insecure,
  );
  return o.processBackchannelAuthenticationResponse(as, client, response);
}

async function poll(auth_req_id, options = {}) {
  const send = () =>
    o.backchannelAuthenticationGrantRequest(as, client, auth, auth_req_id, {
      ...insecure,
      ...options,
    });
  try {
    let tokens;
    try {
      tokens = await o.processBackchannelAuthenticationGrantResponse(as, client, await send());
    } catch (error) {
      if (!o.isDPoPNonceError(error)) throw error;
      tokens = await o.processBackchannelAuthenticationGrantResponse(as, client, await send());
    }
    return {
      sub: o.getValidatedIdTokenClaims(tokens).sub,
      type: tokens.token_type,
      details: tokens.authorization_details,
    };
  } catch (error) {
    return { error: error.error, status: error.status };
  }
}

async function end(hint, more, options) {
  const { auth_req_id } = await ask(hint, more);
  const until = Date.now() + 20000;
  let told;
  do {
    await new Promise((wake) => setTimeout(wake, 1100));
    told = await poll(auth_req_id, options);
  } while (["authorization_pending", "slow_down"].includes(told.error) && Date.now() < until);
  return { told, auth_req_id };
}

const waiting = await ask("carol");
const results = { first: await poll(waiting.auth_req_id), second: await poll(waiting.auth_req_id) };
const approved = await end("alice");
results.approved = approved.told;
results.again = await poll(approved.auth_req_id);
results.denied = (await end("bob")).told;
results.expired = (await end("carol", { requested_expiry: "1" })).told;
const pair = await o.generateKeyPair("ES256");
results.bound = (await end("alice", {}, { DPoP: o.DPoP(client, pair) })).told;
results.issuer = as.issuer;
console.log(JSON.stringify(results));
