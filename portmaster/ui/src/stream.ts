// Following the daemon: one stream of server-sent events, opened again when
// it breaks.

import type { Delta } from "./types";

export type State = "connecting" | "live" | "lost" | "signed-out";

export interface Follower {
  delta(d: Delta): void;
  state(s: State): void;
}

const address = "/api/v1/connections/stream";
const firstDelay = 500;
const longestDelay = 10_000;
const silence = 40_000; // the daemon sends a beat every 15 seconds

export class Stream {
  private source: EventSource | undefined;
  private delay = firstDelay;
  private watchdog: number | undefined;

  constructor(private readonly follower: Follower) {}

  open(): void {
    const source = new EventSource(address);
    this.source = source;
    source.addEventListener("delta", (e) => {
      this.delay = firstDelay;
      this.alive();
      this.follower.state("live");
      this.follower.delta(JSON.parse((e as MessageEvent<string>).data) as Delta);
    });
    source.addEventListener("beat", () => this.alive());
    source.addEventListener("error", () => void this.lost());
    this.alive();
  }

  /** Begins again with the whole table. */
  restart(): void {
    if (this.source === undefined) return; // it is about to
    this.source.close();
    this.open();
  }

  private alive(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => void this.lost(), silence);
  }

  /** Closes what is left and tries again, a little later each time. */
  private async lost(): Promise<void> {
    if (this.source === undefined) return;
    this.source.close();
    this.source = undefined;
    clearTimeout(this.watchdog);
    this.follower.state(await reason());
    setTimeout(() => this.open(), this.delay);
    this.delay = Math.min(this.delay * 2, longestDelay);
  }
}

/** An EventSource does not tell a refusal from a broken connection. */
async function reason(): Promise<State> {
  try {
    const answer = await fetch("/api/v1/status", { cache: "no-store" });
    return answer.status === 401 ? "signed-out" : "lost";
  } catch {
    return "lost";
  }
}
