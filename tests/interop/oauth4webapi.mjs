// oauth4webapi, unmodified: a signed request, polls by hand, slow_down.
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

async function ask(hint) {
  const now = Math.floor(Date.now() / 1000);
  const request = await o.issueRequestObject(
    as,
    client,
    { scope: "openid", login_hint: hint, binding_message: "W4SCT" },
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

async function poll(auth_req_id) {
  try {
    const response = await o.backchannelAuthenticationGrantRequest(
      as,
      client,
      auth,
      auth_req_id,
      insecure,
    );
    const tokens = await o.processBackchannelAuthenticationGrantResponse(as, client, response);
    return { sub: o.getValidatedIdTokenClaims(tokens).sub };
  } catch (error) {
    return { error: error.error, status: error.status };
  }
}

const waiting = await ask("carol");
const results = { first: await poll(waiting.auth_req_id), second: await poll(waiting.auth_req_id) };
const asked = await ask("alice");
const until = Date.now() + 20000;
do {
  await new Promise((wake) => setTimeout(wake, 100));
  results.approved = await poll(asked.auth_req_id);
} while (results.approved.error === "authorization_pending" && Date.now() < until);
results.again = await poll(asked.auth_req_id);
results.issuer = as.issuer;
console.log(JSON.stringify(results));
