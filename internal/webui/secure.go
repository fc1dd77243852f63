package webui

import (
	"net/http"
	"strings"
)

// policy allows what comes from the site itself, and no inline code or style.
func policy() string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self' data:",
		"connect-src 'self'",
		"form-action 'self'",
		"frame-ancestors 'none'",
		"base-uri 'none'",
	}, "; ")
}

// Secure sets the headers that confine a site's pages: where their content
// may come from, that no other site frames or reads them, that no address
// leaks through a referrer, and that browsers take types as they are given.
func Secure(next http.Handler) http.Handler {
	headers := map[string]string{
		"Content-Security-Policy":      policy(),
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY", // for browsers that don't know frame-ancestors
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
