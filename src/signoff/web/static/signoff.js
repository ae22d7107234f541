// What a page does beyond its form: the device key, the countdown, live state, the armed button.
// No framework and no HTML from strings. Without this file the page reads and denies.
// The page never navigates by itself: what changed is read again and put in the old one's place,
// so a late event cannot cancel where the reader is going.
(() => {
  "use strict";
  const ARM_MS = 800;
  const SPOKEN = [60, 30, 10];
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const say = (id, text) => { const el = document.getElementById(id); if (el) el.textContent = text; };

  // --- Times in the reader's own zone -------------------------------------------------------
  const clock = (moment) => {
    const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const today = moment.toDateString() === new Date().toDateString();
    return today ? time : `${moment.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
  };
  const localTimes = () => {
    for (const el of all("time[data-clock]")) el.textContent = clock(new Date(el.dateTime));
  };

  // --- The device key: made at sign-in, kept by this origin, never extractable ---------------
  const store = () => new Promise((resolve, reject) => {
    const opening = indexedDB.open("signoff", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("device-keys");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  const within = async (mode, act) => {
    const db = await store();
    try {
      return await new Promise((resolve, reject) => {
        const transaction = db.transaction("device-keys", mode);
        const asked = act(transaction.objectStore("device-keys"));
        transaction.oncomplete = () => resolve(asked.result);
        transaction.onerror = transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      db.close();
    }
  };
  const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const makeKey = async () => {
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
    const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    // RFC 7638: the thumbprint names the key on both sides.
    const print = new TextEncoder().encode(JSON.stringify({ crv, kty, x, y }));
    const id = base64url(await crypto.subtle.digest("SHA-256", print));
    await within("readwrite", (keys) => { keys.clear(); return keys.put(pair.privateKey, id); });
    return JSON.stringify({ crv, kty, x, y });
  };
  const loadKey = async (id) => id && self.crypto?.subtle ? within("readonly", (keys) => keys.get(id)) : undefined;

  const login = $("form[data-login]");
  if (login) {
    login.addEventListener("submit", async (event) => {
      event.preventDefault();
      $("button", login).disabled = true;
      say("hint", "Signing in…");
      try {
        login.elements.device_key.value = await makeKey();
      } catch {
        // The sign-in then only reads and denies, and the card says why.
        login.elements.device_key.value = "";
      }
      login.submit();
    });
  }
  // A page brought back by the back button has a used link, or tells what is long over.
  if (login || $("form[data-decide]")) {
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  // --- Approving: armed late, read to the end, signed -----------------------------------------
  const arm = (decide) => {
    const signs = decide.hasAttribute("data-sign");
    const approve = $("#approve", decide);
    // Each act has a word of its own: what is signed for one is no yes to another.
    const verbs = { approve: decide.dataset.verb || "approve", yes: "done", no: "not-done" };
    const unseen = approve ? new Set(all("[data-seen]")) : new Set();
    let armed = false;
    let key;
    const ready = () => armed && unseen.size === 0;
    const show = () => {
      if (!approve || approve.disabled) return;
      approve.setAttribute("aria-disabled", String(!ready()));
      say("hint", unseen.size ? "Read to the end to approve" : "");
    };
    if (approve) {
      const seen = new IntersectionObserver((entries) => {
        for (const { isIntersecting, target } of entries) {
          if (isIntersecting) { unseen.delete(target); seen.unobserve(target); }
        }
        show();
      }, { rootMargin: "0px 0px -76px" }); // what the bar covers is not seen
      unseen.forEach((mark) => seen.observe(mark));
    }
    // The buttons of a page that took another one's place stand where the finger already is.
    const marks = all("button[name=done]", decide);
    for (const button of marks) button.setAttribute("aria-disabled", "true");
    setTimeout(() => {
      armed = true;
      for (const button of marks) button.setAttribute("aria-disabled", "false");
      show();
    }, ARM_MS);
    const keyless = (why) => {
      const notice = $("#keyless");
      if (notice) { $("[data-why]", notice).textContent = why; notice.hidden = false; }
      say("hint", "");
    };
    (async () => {
      if (!signs) { show(); return; }
      if (!decide.dataset.key) return;
      try { key = await loadKey(decide.dataset.key); } catch { key = undefined; }
      if (key) {
        for (const button of all("button", decide)) button.disabled = false;
        show();
      } else {
        keyless(self.crypto?.subtle
          ? "This browser no longer has the key made when it signed in."
          : "Browsers keep keys only for https and for localhost, and this is neither.");
      }
    })();
    decide.addEventListener("submit", async (event) => {
      const button = event.submitter;
      const verb = button && verbs[button.value];
      if (!verb) return;
      event.preventDefault();
      if (!armed || (button === approve && !ready())) {
        const [next] = unseen;
        if (next) next.scrollIntoView({ block: "center" });
        return;
      }
      if (decide.dataset.sending) return;
      decide.dataset.sending = "yes";
      if (key) {
        const { id, digest, nonce } = decide.dataset;
        const message = ["signoff device proof", verb, id, digest, nonce].join("\n");
        try {
          decide.elements.proof.value = base64url(await crypto.subtle.sign(
            { name: "ECDSA", hash: "SHA-256" }, key, new TextEncoder().encode(message)));
        } catch {
          delete decide.dataset.sending;
          keyless("This browser’s key did not sign.");
          return;
        }
      }
      const chosen = document.createElement("input");
      chosen.type = "hidden";
      chosen.name = button.name;
      chosen.value = button.value;
      decide.append(chosen);
      decide.submit();
    });
  };

  // --- Countdown: the server says how many seconds are left, this clock only counts ----------
  let counters = [];
  const format = (left) => {
    const pad = (n) => String(n).padStart(2, "0");
    const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
    return hours ? `${hours}:${pad(minutes)}:${pad(seconds)}` : `${minutes}:${pad(seconds)}`;
  };
  const spoken = new Set();
  const tick = () => {
    for (const { el, end } of counters) {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      el.textContent = format(left);
      el.classList.toggle("soon", left <= 60);
      if (el.getAttribute("role") === "timer") {
        const mark = SPOKEN.findLast((at) => left <= at && left > at - 2);
        if (mark && !spoken.has(mark)) { spoken.add(mark); say("announce", `${mark} seconds left to decide`); }
      }
    }
  };
  const count = () => {
    counters = all("[data-left]").map((el) => ({ el, end: performance.now() + 1000 * el.dataset.left }));
    const until = $("[data-until]");
    if (until) { until.textContent = "in"; $(".risk [data-left]").hidden = false; }
    tick();
  };
  setInterval(tick, 500);

  // --- Live state; a hidden window lets go of its connection ---------------------------------
  // Browsers open six connections to a host: a stream of each window would leave none for a page.
  // So three windows of a browser hold one, by a lock each; the others ask now and then.
  const PLACES = ["signoff-stream-1", "signoff-stream-2", "signoff-stream-3"];
  const ASK_MS = 2000;
  let turn = 0; // a window that went quiet meanwhile begins nothing
  let stop;
  let latest;
  let reading;
  const quiet = () => { turn += 1; stop?.(); stop = undefined; };
  const heard = (state) => {
    latest = state.version;
    if (latest !== $("main").dataset.version) { readAgain(); return; }
    if (typeof state.left === "number") for (const counter of counters) counter.end = performance.now() + 1000 * state.left;
    const notice = $("#listener");
    if (notice && "listener_left_at" in state) {
      const at = $("time, [data-listener]", notice);
      if (state.listener_left_at) at.textContent = `${at.tagName === "TIME" ? "" : " at "}${clock(new Date(state.listener_left_at))}`;
      notice.hidden = !state.listener_left_at;
    }
  };
  const stream = (live) => new Promise((ended) => {
    const source = new EventSource(live);
    stop = () => { source.close(); ended(); };
    source.addEventListener("state", (event) => heard(JSON.parse(event.data)));
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) ended(); });
  });
  const listen = async () => {
    const { live } = $("main").dataset;
    if (!live || stop || document.hidden) return;
    const mine = turn;
    stop = () => {};
    if (!navigator.locks) { await stream(live); return; }
    for (const place of PLACES) {
      await navigator.locks.request(place, { ifAvailable: true }, (lock) => lock && mine === turn && stream(live));
      if (mine !== turn) return;
    }
    const answer = await fetch(`${live}?once`).catch(() => undefined);
    if (mine !== turn || answer?.status === 401 || answer?.status === 404) return;
    if (answer?.ok) heard(await answer.json());
    if (mine !== turn) return;
    const again = setTimeout(() => { stop = undefined; listen(); }, ASK_MS);
    stop = () => clearTimeout(again);
  };
  const readAgain = () => {
    const { live } = $("main").dataset;
    if (reading || !live) return;
    reading = new XMLHttpRequest();
    reading.open("GET", live.replace(/\/events$/, "")); // a page may stand at the address of its form
    reading.responseType = "document";
    reading.addEventListener("loadend", () => {
      const { response } = reading;
      const [was, fresh] = [$("main"), response && $("main", response)];
      reading = undefined;
      // What is being sent keeps its form; no answer at all is tried again at the next event.
      if (!fresh || $("[data-sending]")) return;
      document.title = response.title;
      was.replaceWith(fresh);
      begin();
      if (!was.matches(".ended")) $(".ended h1")?.focus({ preventScroll: true });
      if (!fresh.dataset.live) quiet();
      else if (fresh.dataset.version !== latest) setTimeout(readAgain, 1000); // it changed meanwhile
    });
    reading.send();
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? quiet() : listen()));

  // --- Everything that hangs on <main>; also when a fresh one took its place -----------------
  const begin = () => {
    localTimes();
    count();
    const decide = $("form[data-decide]");
    if (decide) arm(decide);
    listen();
  };
  begin();
  if (document.referrer.startsWith(location.origin)) $(".ended h1")?.focus({ preventScroll: true });
})();
