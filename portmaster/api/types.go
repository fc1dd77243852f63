package api

import (
	"context"
	"time"

	"safing/portmaster/history"
)

// A Daemon is what the operations ask. All methods may be called at the same
// time.
type Daemon interface {
	Status(ctx context.Context) Status
	Why(ctx context.Context, app, destination string) (Why, error)
	Profiles(ctx context.Context) []Profile
	Reload(ctx context.Context) Reload
}

// A Status says what runs and how it fares.
type Status struct {
	Version     string      `json:"version"`
	PID         int         `json:"pid"`
	Started     time.Time   `json:"started"`
	State       string      `json:"state" doc:"The state folder."`
	Guards      string      `json:"guards" doc:"The control group whose processes are guarded; empty when it is the whole machine."`
	Default     string      `json:"default" enum:"permit,deny,tunnel" doc:"What happens to applications without a profile when no rule or list decides."`
	Page        string      `json:"page" doc:"The address of the page; with its secret when asked through the socket."`
	Profiles    int         `json:"profiles"`
	Problems    []string    `json:"problems" doc:"What needs someone: broken files, lists that could not be fetched."`
	Lists       []List      `json:"lists"`
	Tunnel      Tunnel      `json:"tunnel"`
	Resolver    Resolver    `json:"resolver"`
	Connections Connections `json:"connections"`
}

// A List is one filter list.
type List struct {
	Name    string     `json:"name"`
	URL     string     `json:"url"`
	Entries int        `json:"entries"`
	Fetched *time.Time `json:"fetched" doc:"When it was last fetched; null when never."`
	Error   string     `json:"error" doc:"Why the last attempt did not work; empty when it did."`
}

// Tunnel says whether connections can be sent through Port17.
type Tunnel struct {
	Configured bool   `json:"configured"`
	Error      string `json:"error" doc:"Why it cannot be used now; empty when it can or is not configured."`
}

// Resolver counts questions.
type Resolver struct {
	Upstreams []string `json:"upstreams"`
	Answered  uint64   `json:"answered"`
	Denied    uint64   `json:"denied"`
	Failed    uint64   `json:"failed"`
}

// Connections counts connections since the start.
type Connections struct {
	Listed    int    `json:"listed" doc:"How many the table holds."`
	Permitted uint64 `json:"permitted"`
	Denied    uint64 `json:"denied"`
	Tunnelled uint64 `json:"tunnelled"`
	Lost      uint64 `json:"lost" doc:"Events that came too quickly to be listed; their verdicts held all the same."`
	Unsaved   uint64 `json:"unsaved" doc:"Entries that came too quickly for the history on disk."`
}

// A Why explains a verdict.
type Why struct {
	App         history.App `json:"app"`
	Destination string      `json:"destination"`
	Verdict     string      `json:"verdict" enum:"permit,deny,tunnel"`
	Reason      string      `json:"reason"`
	Rule        string      `json:"rule"`
	Steps       []Step      `json:"steps" doc:"What each layer says, in the order in which they are asked."`
}

// A Step is the answer of one layer.
type Step struct {
	Layer   string `json:"layer"`
	Verdict string `json:"verdict" doc:"Empty when the layer does not decide."`
	Reason  string `json:"reason"`
	Rule    string `json:"rule"`
}

// A Profile is an application with settings of its own.
type Profile struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Paths   []string `json:"paths"`
	Default string   `json:"default"`
	Rules   []string `json:"rules"`
	File    string   `json:"file"`
	Bound   []string `json:"bound" doc:"The executables on this machine that the kernel judges by this profile."`
}

// A Reload says what came of reading the files again.
type Reload struct {
	Profiles int      `json:"profiles"`
	Problems []string `json:"problems" doc:"What is wrong, as file:line:column; the settings before stay in force for these."`
}
