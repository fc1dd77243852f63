package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"safing/portmaster/history"
)

const prefix = "/api/v1"

// Config is what a server needs.
type Config struct {
	Daemon  Daemon
	Table   *history.Table
	History *history.Store // nil: there is no history on disk
	Page    http.Handler   // what is served outside /api
	Version string
	Token   string // secret of this installation, at least 32 characters
	Address string // host:port of the loopback listener
}

// A Server serves the operations and the page. Make one with [New].
type Server struct {
	config Config
	api    huma.API
	mux    *http.ServeMux
}

// New returns a server.
func New(c Config) *Server {
	mux := http.NewServeMux()
	hc := huma.DefaultConfig("Portmaster", c.Version)
	hc.OpenAPIPath = prefix + "/openapi"
	hc.DocsPath = ""    // its page would load scripts from elsewhere
	hc.SchemasPath = "" // they are part of the document
	hc.CreateHooks = nil
	hc.Info.Description = "What applications do on the network, and why they may or may not."
	s := &Server{config: c, api: humago.New(mux, hc), mux: mux}
	s.register()
	if c.Page != nil {
		mux.Handle("/", c.Page)
	}
	return s
}

// OpenAPI is the OpenAPI 3.1 document as JSON.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().MarshalJSON() }

// Socket is the handler for a unix socket that only its owner may open.
func (s *Server) Socket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), trusted{}, true))
		limitBody(s.mux).ServeHTTP(w, r)
	})
}

// trusted marks the context of requests from the unix socket.
type trusted struct{}

// Browser is the handler for the loopback port.
func (s *Server) Browser() http.Handler {
	return newGate(s.config.Token, s.config.Address, limitBody(s.mux))
}

// limitBody bounds request bodies: no operation has one.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		next.ServeHTTP(w, r)
	})
}

type body[T any] struct{ Body T }

type connectionsInput struct {
	App     string `query:"app" doc:"The profile's ID, the application's name or the executable's path." maxLength:"4096"`
	Verdict string `query:"verdict" enum:"permit,deny,tunnel" doc:"Only connections with this verdict."`
	Limit   int    `query:"limit" minimum:"0" maximum:"10000" doc:"How many of the newest; 0 for all."`
	Past    bool   `query:"past" doc:"Search the history on disk instead of the live table."`
}

type whyInput struct {
	App         string `query:"app" doc:"The profile's ID, a program's name or an executable's path." maxLength:"4096"`
	Destination string `query:"destination" required:"true" minLength:"1" maxLength:"512" doc:"A domain or an address, with a port if it matters: example.com, 192.0.2.1:443, udp://[2001:db8::1]:53."`
}

func (s *Server) register() {
	huma.Register(s.api, operation("status", http.MethodGet, "/status", "Say what runs"),
		func(ctx context.Context, _ *struct{}) (*body[Status], error) {
			return &body[Status]{s.status(ctx)}, nil
		})
	huma.Register(s.api, operation("connections", http.MethodGet, "/connections", "List connections, the oldest first"), s.connections)
	huma.Register(s.api, operation("why", http.MethodGet, "/why", "Explain a verdict"), s.why)
	huma.Register(s.api, operation("profiles", http.MethodGet, "/profiles", "List profiles"),
		func(ctx context.Context, _ *struct{}) (*body[[]Profile], error) {
			return &body[[]Profile]{s.config.Daemon.Profiles(ctx)}, nil
		})
	huma.Register(s.api, operation("reload", http.MethodPost, "/reload", "Read the profiles and settings again"),
		func(ctx context.Context, _ *struct{}) (*body[Reload], error) {
			return &body[Reload]{s.config.Daemon.Reload(ctx)}, nil
		})
	s.registerStream()
}

func operation(id, method, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: prefix + path, Summary: summary}
}

func (s *Server) status(ctx context.Context) Status {
	st := s.config.Daemon.Status(ctx)
	st.Version = s.config.Version
	st.Page = "http://" + s.config.Address + "/"
	if ctx.Value(trusted{}) != nil {
		st.Page = PageURL(s.config.Address, s.config.Token)
	}
	return st
}

func (s *Server) connections(ctx context.Context, in *connectionsInput) (*body[[]history.Connection], error) {
	f := history.Filter{App: in.App, Verdict: in.Verdict, Limit: in.Limit}
	if !in.Past {
		return &body[[]history.Connection]{s.config.Table.Snapshot(f)}, nil
	}
	if s.config.History == nil {
		return nil, huma.Error404NotFound("no history is kept")
	}
	all, err := s.config.History.List(ctx, f)
	if err != nil {
		return nil, huma.Error500InternalServerError("the history cannot be read", err)
	}
	return &body[[]history.Connection]{all}, nil
}

// ErrQuestion marks an error of [Daemon.Why] as the asker's.
var ErrQuestion = errors.New("the question cannot be answered")

func (s *Server) why(ctx context.Context, in *whyInput) (*body[Why], error) {
	w, err := s.config.Daemon.Why(ctx, in.App, in.Destination)
	if errors.Is(err, ErrQuestion) {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if err != nil {
		return nil, huma.Error500InternalServerError(err.Error())
	}
	return &body[Why]{w}, nil
}
