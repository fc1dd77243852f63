// Made from the Go types by types_test.go; do not edit.

export interface App {
  id: string;
  name: string;
}

export interface Process {
  pid: number;
  path: string;
  args: string[];
  cgroup: string;
  uid: number;
}

export interface Destination {
  address: string;
  port: number;
  domain: string;
  country: string;
}

export interface Hop {
  id: string;
  name: string;
  owner: string;
  country: string;
}

export interface Connection {
  id: number;
  kind: string;
  started: string;
  ended: string | null;
  app: App;
  process: Process;
  protocol: string;
  destination: Destination;
  verdict: string;
  reason: string;
  rule: string;
  route: Hop[];
  sent: number;
  received: number;
  tls: string;
  server_name: string;
  error: string;
}

export interface Counter {
  id: number;
  sent: number;
  received: number;
}

export interface Delta {
  version: number;
  reset: boolean;
  connections: Connection[];
  counters: Counter[];
  removed: number[];
}
