// Asking the daemon why: what each layer of the rules answers now.

import { make } from "./dom";
import { endpoint } from "./format";
import type { Connection } from "./types";

interface Step {
  layer: string;
  verdict: string;
  reason: string;
  rule: string;
}

interface Answer {
  steps: Step[];
}

/** The question about a connection, in the form that the API takes. */
function question(c: Connection): string {
  const destination = c.kind === "dns" ? c.destination.domain : `${c.protocol}://${endpoint(c)}`;
  return new URLSearchParams({ app: c.app.id !== "" ? c.app.id : c.process.path, destination }).toString();
}

/** Asks for the layers' answers; null when there is none to be had. */
export async function ask(c: Connection): Promise<HTMLElement | null> {
  try {
    const answer = await fetch(`/api/v1/why?${question(c)}`, { cache: "no-store" });
    if (!answer.ok) return null;
    const why = (await answer.json()) as Answer;
    return make("ol", "steps", ...why.steps.map(step));
  } catch {
    return null;
  }
}

function step(s: Step): HTMLElement {
  const li = make("li", "", make("span", "layer", s.layer));
  if (s.verdict === "") {
    li.append(make("span", "passed", s.reason !== "" ? s.reason : "says nothing"));
    return li;
  }
  li.append(make("span", `badge ${s.verdict}`, s.verdict), make("p", "", s.reason));
  if (s.rule !== "") li.append(make("code", "", s.rule));
  return li;
}
