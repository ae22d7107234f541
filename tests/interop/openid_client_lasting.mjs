// openid-client, unmodified: access that lasts, its tokens bound to a key, narrowed and replayed.
import * as client from "openid-client";

const { ISSUER, RESOURCE, CLIENT_ID, CLIENT_SECRET } = process.env;
const config = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  undefined,
  client.ClientSecretBasic(CLIENT_SECRET),
  { execute: [client.allowInsecureRequests] },
);
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
const response = await client.initiateBackchannelAuthentication(config, {
  scope: "openid offline_access",
  login_hint: "alice",
  binding_message: "W4SCT",
  resource: RESOURCE,
  authorization_details: JSON.stringify([
    { type: "payment", amount: 25 },
    { type: "payment", amount: 30 },
  ]),
});
const waiting = { ...response, interval: 0.2 };
const first = await client.pollBackchannelAuthenticationGrant(config, waiting, undefined, { DPoP });
const refresh = (token, parameters) =>
  client.refreshTokenGrant(config, token, parameters, { DPoP });
const second = await refresh(first.refresh_token);
const third = await refresh(second.refresh_token, {
  authorization_details: JSON.stringify([{ type: "payment", amount: 30 }]),
});
const told = await client.tokenIntrospection(config, third.access_token);

async function refused(work) {
  try {
    await work();
    return "not refused";
  } catch (error) {
    return error.error ?? error.code;
  }
}

const wider = await refused(() =>
  refresh(third.refresh_token, {
    authorization_details: JSON.stringify([{ type: "payment", amount: 31 }]),
  }),
);
const replayed = await refused(() => refresh(first.refresh_token));
const ended = await refused(() => refresh(third.refresh_token));
const after = await client.tokenIntrospection(config, third.access_token);
console.log(
  JSON.stringify({
    types: [first.token_type, second.token_type, third.token_type],
    sub: [first.claims().sub, second.claims().sub],
    details: [second.authorization_details.length, third.authorization_details],
    bound: told.token_type === "DPoP" && typeof told.cnf.jkt === "string",
    wider,
    replayed,
    ended,
    after: after.active,
  }),
);
