package metrics

import "safing/port17/cell"

// label is what a reason is called in metrics. The text of a reason is for
// users, and may change.
func label(r cell.Reason) string {
	switch r {
	case cell.Finished:
		return "finished"
	case cell.Protocol:
		return "protocol"
	case cell.Altered:
		return "altered"
	case cell.QueueFull:
		return "queue_full"
	case cell.OutOfMemory:
		return "out_of_memory"
	case cell.Busy:
		return "busy"
	case cell.LinkBroken:
		return "link_broken"
	case cell.NoLink:
		return "no_link"
	case cell.UnknownPrekey:
		return "unknown_prekey"
	case cell.Replayed:
		return "replayed"
	case cell.BadHello:
		return "bad_hello"
	case cell.ShuttingDown:
		return "shutting_down"
	case cell.Expired:
		return "expired"
	case cell.NotOffered:
		return "not_offered"
	case cell.Exhausted:
		return "exhausted"
	}
	return streamLabel(r)
}

func streamLabel(r cell.Reason) string {
	switch r {
	case cell.Policy:
		return "policy"
	case cell.NoSuchName:
		return "no_such_name"
	case cell.Refused:
		return "refused"
	case cell.Unreachable:
		return "unreachable"
	case cell.TimedOut:
		return "timed_out"
	case cell.ConnectionReset:
		return "connection_reset"
	case cell.TooManyStreams:
		return "too_many_streams"
	case cell.BadTarget:
		return "bad_target"
	case cell.Failed:
		return "failed"
	case cell.Idle:
		return "idle"
	case cell.ExitFull:
		return "exit_full"
	case cell.TooFast:
		return "too_fast"
	case cell.Crowded:
		return "crowded"
	}
	return "other"
}
