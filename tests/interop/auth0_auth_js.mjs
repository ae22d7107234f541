// @auth0/auth0-auth-js, unmodified but for its transport: it knows https only, our listener http.
import { importPKCS8 } from "jose";
import { AuthClient } from "@auth0/auth0-auth-js";

const { ISSUER, RESOURCE, CLIENT_ID, CLIENT_SECRET, PRIVATE_PEM } = process.env;
const asked = [];
const client = new AuthClient({
  domain: new URL(ISSUER).host,
  clientId: CLIENT_ID,
  ...(CLIENT_SECRET
    ? { clientSecret: CLIENT_SECRET }
    : {
        clientAssertionSigningKey: await importPKCS8(PRIVATE_PEM, "ES256"),
        clientAssertionSigningAlg: "ES256",
      }),
  authorizationParams: { resource: RESOURCE },
  customFetch: (url, options) => {
    const plain = new URL(url);
    plain.protocol = "http:";
    asked.push(plain.pathname);
    return fetch(plain, options);
  },
});
const request = (sub, more = {}) => ({
  bindingMessage: "W4SCT",
  loginHint: { sub },
  requestedExpiry: 60,
  authorizationParams: { scope: "openid payments" },
  authorizationDetails: [{ type: "payment", amount: 25 }],
  ...more,
});

async function told(promise) {
  try {
    const tokens = await promise;
    return {
      sub: tokens.claims.sub,
      scope: tokens.scope,
      details: tokens.authorizationDetails,
    };
  } catch (error) {
    return { error: error.cause?.error ?? error.code, status: error.statusCode };
  }
}

const results = {
  approved: await told(client.backchannelAuthentication(request("alice"))),
  denied: await told(client.backchannelAuthentication(request("bob"))),
  unknown: await told(client.backchannelAuthentication(request("nobody"))),
};
const waiting = await client.initiateBackchannelAuthentication(request("carol"));
results.pending = await told(client.backchannelAuthenticationGrant(waiting));
results.too_early = await told(client.backchannelAuthenticationGrant(waiting));
const short = await client.initiateBackchannelAuthentication(
  request("carol", { requestedExpiry: 1 }),
);
do {
  await new Promise((wake) => setTimeout(wake, 1100));
  results.expired = await told(client.backchannelAuthenticationGrant(short));
} while (["authorization_pending", "slow_down"].includes(results.expired.error));
results.asked = [...new Set(asked)].sort();
console.log(JSON.stringify(results));
