// oidc-provider as it is measured beside ours: CIBA in poll mode, ES256, JWT access tokens.
//
// Its default store keeps 1,000 records and forgets the rest, so it gets one of two others. A Map:
// no durability, no eviction, nothing to wait for. Or, where a file is named, Node's own SQLite
// with WAL and synchronous=FULL, statements prepared once, as durable as ours.
// `POST /approve` says yes as its documentation shows.
import * as http from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import Provider from "oidc-provider";

const [port, clientId, clientSecret, resource, file] = process.argv.slice(2);
const records = new Map();
const grants = new Map();

class Memory {
  constructor(kind) {
    this.kind = kind;
  }
  async upsert(id, payload) {
    records.set(`${this.kind}:${id}`, payload);
    if (payload.grantId) {
      const held = grants.get(payload.grantId) ?? [];
      held.push(`${this.kind}:${id}`);
      grants.set(payload.grantId, held);
    }
  }
  async find(id) {
    return records.get(`${this.kind}:${id}`);
  }
  async findByUid() {}
  async findByUserCode() {}
  async consume(id) {
    records.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    records.delete(`${this.kind}:${id}`);
  }
  async revokeByGrantId(grantId) {
    for (const name of grants.get(grantId) ?? []) records.delete(name);
    grants.delete(grantId);
  }
}

function durable() {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode=WAL");
  database.exec("PRAGMA synchronous=FULL");
  database.exec(`
    CREATE TABLE records (
      kind TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, grant_id TEXT,
      PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    CREATE INDEX records_of_grant ON records (grant_id) WHERE grant_id IS NOT NULL;
  `);
  const upsert = database.prepare("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)");
  const find = database.prepare("SELECT payload FROM records WHERE kind = ? AND id = ?");
  const consume = database.prepare(
    "UPDATE records SET payload = json_set(payload, '$.consumed', ?) WHERE kind = ? AND id = ?",
  );
  const destroy = database.prepare("DELETE FROM records WHERE kind = ? AND id = ?");
  const revoke = database.prepare("DELETE FROM records WHERE grant_id = ?");
  return class Durable {
    constructor(kind) {
      this.kind = kind;
    }
    async upsert(id, payload) {
      upsert.run(this.kind, id, JSON.stringify(payload), payload.grantId ?? null);
    }
    async find(id) {
      const found = find.get(this.kind, id);
      return found && JSON.parse(found.payload);
    }
    async findByUid() {}
    async findByUserCode() {}
    async consume(id) {
      consume.run(Math.floor(Date.now() / 1000), this.kind, id);
    }
    async destroy(id) {
      destroy.run(this.kind, id);
    }
    async revokeByGrantId(grantId) {
      revoke.run(grantId);
    }
  };
}

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: file ? durable() : Memory,
  jwks: { keys: [{ ...key.export({ format: "jwk" }), use: "sig", alg: "ES256", kid: "one" }] },
  clients: [
    {
      client_id: clientId,
      client_secret: clientSecret,
      grant_types: ["urn:openid:params:grant-type:ciba"],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: "client_secret_basic",
      backchannel_token_delivery_mode: "poll",
      id_token_signed_response_alg: "ES256",
    },
  ],
  findAccount: (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
  features: {
    devInteractions: { enabled: false },
    ciba: {
      enabled: true,
      deliveryModes: ["poll"],
      processLoginHint: async (ctx, hint) => hint,
      triggerAuthenticationDevice: async () => {},
      validateBindingMessage: async () => {},
      validateRequestContext: async () => {},
      verifyUserCode: async () => {},
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: async () => ({
        scope: "",
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: 600,
        jwt: { sign: { alg: "ES256" } },
      }),
      useGrantedResource: async () => true,
    },
  },
});

async function approve(authReqId) {
  const request = await provider.BackchannelAuthenticationRequest.find(authReqId);
  const grant = new provider.Grant({ accountId: request.accountId, clientId });
  grant.addOIDCScope("openid");
  await grant.save();
  await provider.backchannelResult(request, grant);
}

const handle = provider.callback();
http
  .createServer((request, response) => {
    if (request.url !== "/approve") return handle(request, response);
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () =>
      approve(Buffer.concat(parts).toString()).then(
        () => response.writeHead(204).end(),
        (error) => response.writeHead(500).end(String(error)),
      ),
    );
  })
  .listen(Number(port), "127.0.0.1");
