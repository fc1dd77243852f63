package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"safing/portmaster/api"
	"safing/portmaster/history"
)

// signIn exchanges the secret for the cookie.
func signIn(t *testing.T, h http.Handler) *http.Cookie {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, api.PageURL("127.0.0.1:8117", secret), nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("sign in: got %d and %d cookies", w.Code, len(cookies))
	}
	if to := w.Header().Get("Location"); to != "/" {
		t.Errorf("the address after signing in is %q", to)
	}
	return cookies[0]
}

func TestTheCookieIsForThisSiteAlone(t *testing.T) {
	s, _ := newServer(t, history.NewTable(1, 0), "127.0.0.1:8117")
	c := signIn(t, s.Browser())
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	if strings.Contains(c.Value, secret) {
		t.Error("the cookie holds the secret itself")
	}
}

func TestGate(t *testing.T) {
	const own = "127.0.0.1:8117"
	for _, test := range []struct {
		name         string
		method, path string
		host         string
		cookie       bool
		header       map[string]string
		want         int
	}{
		{"the page", "GET", "/", own, true, nil, 200},
		{"by name", "GET", "/", "localhost:8117", true, nil, 200},
		{"by IPv6", "GET", "/", "[::1]:8117", true, nil, 200},
		{"without a cookie", "GET", "/", own, false, nil, 401},
		{"an operation without a cookie", "GET", "/api/v1/status", own, false, nil, 401},
		{"with the token", "GET", "/api/v1/status", own, false, map[string]string{"Authorization": "Bearer " + secret}, 200},
		{"with another token", "GET", "/api/v1/status", own, false, map[string]string{"Authorization": "Bearer x" + secret}, 401},
		{"with a part of the token", "GET", "/api/v1/status", own, false, map[string]string{"Authorization": "Bearer " + secret[:10]}, 401},
		{"the token in an operation's address", "GET", "/api/v1/status?token=" + secret, own, false, nil, 401},
		{"a wrong token in the page's address", "GET", "/?token=wrong", own, true, nil, 401},
		{"a name that was pointed at us", "GET", "/api/v1/status", "evil.example:8117", true, nil, 421},
		{"our address at another port", "GET", "/api/v1/status", "127.0.0.1:9999", true, nil, 421},
		{"no host", "GET", "/api/v1/status", "", true, nil, 421},
		{"a read by another site", "GET", "/api/v1/status", own, true, map[string]string{"Origin": "http://evil.example"}, 403},
		{"a read by another port", "GET", "/api/v1/status", own, true, map[string]string{"Origin": "http://127.0.0.1:9999"}, 403},
		{"a read by no site", "GET", "/api/v1/status", own, true, map[string]string{"Origin": "null"}, 403},
		{"an image on another site", "GET", "/api/v1/status", own, true, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
		{"a link on another site", "GET", "/", own, true, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"a change by our page", "POST", "/api/v1/reload", own, true, map[string]string{"Origin": "http://" + own, "Sec-Fetch-Site": "same-origin"}, 200},
		{"a change by another site", "POST", "/api/v1/reload", own, true, map[string]string{"Origin": "http://evil.example"}, 403},
		{"a change without an origin", "POST", "/api/v1/reload", own, true, nil, 403},
		{"a change by a program", "POST", "/api/v1/reload", own, false, map[string]string{"Authorization": "Bearer " + secret}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, daemon := newServer(t, history.NewTable(1, 0), own)
			r := httptest.NewRequest(test.method, "http://"+own+test.path, nil)
			r.Host = test.host
			for k, v := range test.header {
				r.Header.Set(k, v)
			}
			if test.cookie {
				r.AddCookie(signIn(t, s.Browser()))
			}
			w := httptest.NewRecorder()
			s.Browser().ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("got %d, want %d: %s", w.Code, test.want, w.Body)
			}
			if w.Code != http.StatusOK && daemon.reloaded > 0 {
				t.Error("it was refused, but done")
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Error("the answer holds the secret")
			}
		})
	}
}
