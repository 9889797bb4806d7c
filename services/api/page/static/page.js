// What the page does beyond links: live figures over server-sent events, and the buttons, which speak to the API.
const say = (form, text, bad) => {
  const place = form.querySelector(".said");
  place.textContent = text;
  place.classList.toggle("bad", Boolean(bad));
};

const send = async (method, path, body, type = "application/json") => {
  const headers = body === undefined ? {} : { "Content-Type": type };
  const answer = await fetch(path, { method, headers, body, credentials: "same-origin" });
  const json = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(json?.errors?.join("; ") || json?.detail || answer.statusText);
  return json;
};

// A thumbnail of the source may not load: that is why images are mirrored.
const mark = (image) => image.closest(".pair a")?.classList.add("gone");
document.addEventListener("error", ({ target }) => { if (target.matches?.(".pair img")) mark(target); }, true);
for (const image of document.querySelectorAll(".pair img")) if (image.complete && !image.naturalWidth) mark(image);

// ── live ────────────────────────────────────────────────────────────────────────────────────────────────────
const reread = async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
    if (now && now.innerHTML !== old.innerHTML && !old.contains(document.activeElement)) old.innerHTML = now.innerHTML;
  }
};

let due = 0;
let reading = Promise.resolve();
const refresh = () => {
  // What happens while the page is being read may not be in it: then it is due again.
  due ||= setTimeout(() => { reading = reading.then(() => { due = 0; return reread(); }).catch(() => {}); }, 600);
};

const pulse = document.querySelector(".pulse");
if (document.querySelector("[data-live]")) {
  const only = document.body.dataset.only;
  const events = new EventSource("/api/events");
  const kinds = ["article.found", "article.updated", "feed.polled", "image.mirrored", "image.failed", "record.completed"];
  for (const kind of kinds) events.addEventListener(`evt.${kind}`, ({ data }) => {
    const event = JSON.parse(data);
    if (only && event.request_id && event.request_id !== only) return;
    refresh();
  });
  // The stream begins at its opening: what has happened since the page was made is read once, after a break again.
  events.onopen = () => { pulse?.classList.add("on"); if (pulse) pulse.textContent = "live"; refresh(); };
  events.onerror = () => { pulse?.classList.remove("on"); if (pulse) pulse.textContent = "not connected"; };
  addEventListener("pagehide", () => events.close());
}

// ── buttons and forms ───────────────────────────────────────────────────────────────────────────────────────
const actions = {
  async add(form) {
    const url = form.elements.url.value.trim();
    const feed = await send("POST", "/api/feeds", JSON.stringify({ url }));
    location.href = `/record/${feed.request_id}`;
  },
  async opml(form) {
    const [file] = form.elements.file.files;
    if (!file) throw new Error("Choose a file first.");
    say(form, "Reading the file …");
    const bar = form.querySelector("progress");
    let made = null;
    let done = 0;
    const tell = () => {
      if (!made) return;
      bar.value = Math.min(done, made.subscribed);
      const refused = made.refused.length ? ` ${made.refused.length} could not be used: ${made.refused.slice(0, 5).join("; ")}` : "";
      say(form, `${made.subscribed} feeds subscribed, ${bar.value} polled so far.${refused}`);
      if (done >= made.subscribed) events.close();
    };
    // Listening comes first, so that no poll ends unheard.
    const events = new EventSource("/api/events?subject=evt.feed.polled");
    events.addEventListener("evt.feed.polled", () => { done += 1; tell(); });
    await new Promise((heard) => { events.onopen = heard; });
    try {
      made = await send("POST", "/api/feeds/import", await file.text(), "text/x-opml");
    } catch (error) {
      events.close();
      throw error;
    }
    bar.hidden = false;
    bar.max = Math.max(1, made.subscribed);
    tell();
  },
  async poll(button) {
    const { requestId } = await send("POST", "/api/fetches", JSON.stringify({ feed: Number(button.dataset.feed) }));
    location.href = `/record/${requestId}`;
  },
  async pause(button) {
    await send("PATCH", `/api/feeds/${button.dataset.feed}`, JSON.stringify({ paused: button.dataset.paused !== "true", subscribed: true }));
    location.reload();
  },
  async drop(button) {
    await send("DELETE", `/api/feeds/${button.dataset.feed}`);
    location.href = "/";
  },
  async retry(button) {
    const scope = button.dataset.image ? { image: button.dataset.image, requestId: button.dataset.request } : { requestId: button.dataset.request };
    const made = await send("POST", "/api/images/retry", JSON.stringify(scope));
    button.textContent = made.images ? "trying again …" : "nothing failed";
  },
  async copy(button) {
    await navigator.clipboard.writeText(button.dataset.text);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  },
};

const run = async (name, element) => {
  const button = element.matches("form") ? element.querySelector("button") : element;
  button.disabled = true;
  try {
    await actions[name](element);
  } catch (error) {
    if (element.matches("form")) say(element, error.message, true);
    else { button.textContent = "did not work"; button.title = error.message; }
  } finally {
    button.disabled = false;
  }
};

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-do]");
  if (!form) return;
  event.preventDefault();
  run(form.dataset.do, form);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button && !button.closest("form[data-do]")) run(button.dataset.do, button);
});
