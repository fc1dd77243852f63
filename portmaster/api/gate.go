package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// PageURL is the address that signs a browser in.
func PageURL(address, token string) string {
	return "http://" + address + "/?" + url.Values{"token": {token}}.Encode()
}

// A gate lets requests to the loopback port through, or not.
//
//	Host        loopback name or address with our port: against DNS rebinding
//	Origin      absent or ours, present on every change: against other sites
//	secret      bearer token or cookie: against other users
type gate struct {
	hosts  []string
	cookie string // its name
	token  [sha256.Size]byte
	value  [sha256.Size]byte // hash of the cookie's value
	secret string            // the cookie's value
	next   http.Handler
}

func newGate(token, address string, next http.Handler) *gate {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, ""
	}
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("portmaster cookie v1"))
	value := hex.EncodeToString(mac.Sum(nil))
	return &gate{
		hosts: []string{
			net.JoinHostPort(host, port), net.JoinHostPort("localhost", port),
			net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port),
		},
		// Cookies do not tell ports apart: without the port in its name, two
		// daemons would sign each other's pages out.
		cookie: "portmaster_" + port,
		token:  sha256.Sum256([]byte(token)),
		value:  sha256.Sum256([]byte(value)),
		secret: value,
		next:   next,
	}
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !slices.Contains(g.hosts, strings.ToLower(r.Host)):
		refuse(w, r, http.StatusMisdirectedRequest, "This is Portmaster's own page: open it by its loopback address, which `portmaster status` prints.")
	case !g.sameOrigin(r):
		refuse(w, r, http.StatusForbidden, "Requests from other sites are refused.")
	case r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, prefix) && r.URL.Query().Has("token"):
		g.signIn(w, r)
	case !g.bearer(r) && !g.signedIn(r):
		refuse(w, r, http.StatusUnauthorized, "Open the address that `portmaster status` prints: it holds the secret that this browser needs once.")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// sameOrigin says whether the request comes from our page, from no page at
// all, or is a person following a link to us.
func (g *gate) sameOrigin(r *http.Request) bool {
	origin, sent := r.Header["Origin"]
	if sent && !(len(origin) == 1 && g.ours(origin[0])) {
		return false
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !safe && !sent && !g.bearer(r) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	default:
		return safe && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	}
}

func (g *gate) ours(origin string) bool {
	host, ok := strings.CutPrefix(strings.ToLower(origin), "http://")
	return ok && slices.Contains(g.hosts, host)
}

// signIn exchanges the secret in the address for a cookie, so that it stays
// neither in the address bar nor in a referrer.
func (g *gate) signIn(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !matches(query.Get("token"), g.token) {
		refuse(w, r, http.StatusUnauthorized, "The secret in this address is not, or no longer, right: `portmaster status` prints the address to open.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: g.cookie, Value: g.secret, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	query.Del("token")
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/\\"), RawQuery: query.Encode()}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

func (g *gate) bearer(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && strings.EqualFold(scheme, "Bearer") && matches(token, g.token)
}

func (g *gate) signedIn(r *http.Request) bool {
	c, err := r.Cookie(g.cookie)
	return err == nil && matches(c.Value, g.value)
}

// matches compares without telling by the time it takes how much is right.
func matches(given string, want [sha256.Size]byte) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], want[:]) == 1
}

// refuse answers with one sentence, as a page for people and as a problem
// document (RFC 9457) for programs.
func refuse(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if strings.HasPrefix(r.URL.Path, prefix) {
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: sentence}) //nolint:errcheck // the client went away
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(sentence + "\n")) //nolint:errcheck // the client went away
}
