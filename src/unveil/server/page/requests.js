// What the page asks of the server. The token, where one is needed, stays in this tab.

const TOKEN = "unveil-token";

export class Refusal extends Error {
  constructor(status, word, message, wait) {
    super(message);
    this.status = status;
    this.word = word;
    this.wait = wait;
  }
}

export function takeTokenFromAddress() {
  const given = /^#token=(.+)$/.exec(location.hash);
  if (!given) return;
  keepToken(decodeURIComponent(given[1]));
  history.replaceState(null, "", location.pathname);
}

// Keeps a token, or forgets it; says whether there was one.
export function keepToken(token) {
  const had = sessionStorage.getItem(TOKEN) !== null;
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
  return had;
}

export function makeName() {
  // crypto.randomUUID exists only on secure origins, and a phone may reach the server by its plain address.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function ask(path, { form, name, signal } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (name) headers["Unveil-Request"] = name;
  let answer;
  try {
    answer = await fetch(path, { method: form ? "POST" : "GET", body: form, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "unreachable", "The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Refusal(
    answer.status,
    said.error ?? "failed",
    said.message ?? `The server answered ${answer.status}.`,
    Number(answer.headers.get("Retry-After")) || 0,
  );
}

export function formOf(file, fields = {}) {
  const form = new FormData();
  form.append("file", file, file.name || "picture");
  for (const [name, value] of Object.entries(fields)) if (value !== "" && value != null) form.append(name, value);
  return form;
}

export async function restore(file, fields, options) {
  const answer = await ask("/v1/restore", { form: formOf(file, fields), ...options });
  const said = (name) => JSON.parse(answer.headers.get(`Unveil-${name}`));
  const name = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition"));
  return {
    blob: await answer.blob(),
    name: decodeURIComponent(name[1]),
    weights: said("Weights"),
    untouched: said("Untouched"),
    notes: said("Notes"),
    seconds: said("Seconds"),
  };
}

export async function diagnose(file, options) {
  return (await ask("/v1/diagnose", { form: formOf(file), ...options })).json();
}
