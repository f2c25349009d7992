package access_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"slipstream/services/internal/access"
)

// TestRebinding: where everybody may call, a name that others can give our address is refused, for whatever is asked; addresses and
// localhost are served. Where callers must say who they are, or TLS says who is called, names do not matter.
func TestRebinding(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, c := range []struct {
		host, listen     string
		guarded, overTLS bool
		want             int
	}{
		{host: "127.0.0.1:7480", want: http.StatusNoContent},
		{host: "localhost:7480", want: http.StatusNoContent},
		{host: "LOCALHOST.", want: http.StatusNoContent},
		{host: "line.localhost:7480", want: http.StatusNoContent},
		{host: "[::1]:7480", want: http.StatusNoContent},
		{host: "[::1]", want: http.StatusNoContent},
		{host: "10.1.2.3:7480", listen: "0.0.0.0:7480", want: http.StatusNoContent},
		{host: "gw.example.org:7480", listen: "GW.example.org:7480", want: http.StatusNoContent},
		{host: "gw.example.org:7480", want: http.StatusMisdirectedRequest},
		{host: "rebound.example.org", want: http.StatusMisdirectedRequest},
		{host: "127.0.0.1.example.org:7480", want: http.StatusMisdirectedRequest},
		{host: "localhost.example.org:7480", want: http.StatusMisdirectedRequest},
		{host: "notlocalhost:7480", want: http.StatusMisdirectedRequest},
		{host: "2130706433", want: http.StatusMisdirectedRequest},
		{host: "", want: http.StatusMisdirectedRequest},
		{host: "gw.example.org:7480", guarded: true, want: http.StatusNoContent},
		{host: "gw.example.org:7480", overTLS: true, want: http.StatusNoContent},
	} {
		if c.listen == "" {
			c.listen = "127.0.0.1:7480"
		}
		h := access.FromBrowsers(served, c.listen, c.guarded)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := httptest.NewRequestWithContext(t.Context(), method, "/v1/pipelines/default/status", nil)
			if r.Host = c.host; c.overTLS {
				r.TLS = &tls.ConnectionState{}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s under the name %q: %d, want %d", method, c.host, w.Code, c.want)
			}
			if w.Code != http.StatusNoContent && !strings.Contains(w.Body.String(), `"message":"this gateway`) {
				t.Errorf("under the name %q it says %s", c.host, w.Body)
			}
		}
	}
}

// TestOtherSites: a page of another site changes nothing, with or without a guard; a page of ours and programs do.
func TestOtherSites(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, c := range []struct {
		method string
		header map[string]string
		want   int
	}{
		{http.MethodPost, nil, http.StatusNoContent},
		{http.MethodPost, map[string]string{"Origin": "http://127.0.0.1:7480"}, http.StatusNoContent},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:7480"}, http.StatusNoContent},
		{http.MethodPost, map[string]string{"Origin": "http://example.org"}, http.StatusForbidden},
		{http.MethodPost, map[string]string{"Origin": "http://127.0.0.1:8080"}, http.StatusForbidden},
		{http.MethodPost, map[string]string{"Origin": "null"}, http.StatusForbidden},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{http.MethodPost, map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		{http.MethodGet, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusNoContent}, // a link; what it shows, the other page cannot read
	} {
		for _, guarded := range []bool{false, true} {
			r := httptest.NewRequestWithContext(t.Context(), c.method, "/v1/pipelines/default/stop", nil)
			r.Host = "127.0.0.1:7480"
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			access.FromBrowsers(served, "127.0.0.1:7480", guarded).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s with %v: %d, want %d", c.method, c.header, w.Code, c.want)
			}
		}
	}
}
