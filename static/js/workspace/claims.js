// What this tab holds on the server: asking for items, keeping them, giving them back.
import { ApiError, request } from "../store/api.js";
import { newId } from "../store/ids.js";

const MOST_HELD = 8;

/**
 * `nothing` is why there is no item, as the server said last; `unsure` says that it could not tell while answers were on
 * their way. `tab` is a Tab, `outbox` an Outbox, `api` makes addresses from paths, `ahead` is how many items are prefetched.
 */
export class Claims {
  #api;
  #tab;
  #outbox;
  #send;
  #ahead;
  #answered = new Set(); // tokens whose answer is on its way; the server may still hold them for us
  #fresh = true; // a reloaded page's claims get new tokens: what its predecessor releases late is void

  constructor({ api, tab, outbox, ahead, send = request }) {
    this.#api = api;
    this.#tab = tab;
    this.#outbox = outbox;
    this.#ahead = ahead;
    this.#send = send;
    this.nothing = null;
    this.unsure = false;
  }

  /** The next claim that is neither among the tokens in `exclude` nor answered, or null. */
  async fetchNext({ exclude }, again = true) {
    const wanted = exclude.length + this.#outbox.status.unsent + 1 + (this.#tab.remembered ? this.#ahead : 0);
    const { leases, nothing } = await this.#post("next/", { fresh: this.#fresh, count: Math.min(wanted, MOST_HELD) });
    this.#fresh = false;
    this.nothing = nothing;
    const unsent = new Set(this.#outbox.entries.map(({ body }) => body.item));
    const onTheirWay = ({ token, item }) => this.#answered.has(token) || unsent.has(item.id);
    const lease = this.#tab.choose(leases.filter((each) => !exclude.includes(each.token) && !onTheirWay(each)));
    this.unsure = !lease && leases.some(onTheirWay);
    if (!this.unsure || !again) return lease;
    // The server still counted items as ours that we have answered: what it says holds only behind those answers.
    await this.#outbox.flush();
    return this.fetchNext({ exclude }, false);
  }

  /** The item of this claim was answered or skipped; `undone` says that it was not after all. */
  answered({ token }) {
    this.#answered.add(token);
  }

  undone({ token }) {
    this.#answered.delete(token);
  }

  async heartbeat(tokens) {
    const alive = (await this.#post("leases/renew/", { tokens })).tokens;
    return { lost: tokens.filter((token) => !alive.includes(token)) };
  }

  /** Give claims back; works while the page goes. */
  release(tokens) {
    return this.#post("leases/release/", { tokens }, { keepalive: true }).catch(() => {});
  }

  /** Have the server take an answer or skip back; resolves to the claim on its item and what had been chosen. */
  async takeBack({ kind, id, item_id: itemId }) {
    await this.#outbox.flush();
    if (kind === "skip") await this.#post(`skips/${id}/withdraw/`, {});
    else await this.#post("annotations/withdraw/", { id: newId(), item: itemId });
    const { leases } = await this.#post("next/", { count: 1 });
    const lease = leases.find(({ item }) => item.id === itemId);
    if (!lease) throw new ApiError("This item cannot be brought back.", { hint: "It was archived or deleted meanwhile." });
    return { lease, regions: lease.draft };
  }

  #post(path, json, options = {}) {
    return this.#send(this.#api(path), { ...options, method: "POST", json: { holder: this.#tab.holder, ...json } });
  }
}
