package access

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"google.golang.org/grpc/codes"
)

// FromBrowsers keeps out what a page of another site makes a browser send. listen is where next is served; guarded says that a
// Guard decides who may call.
//
// What changes something is refused where it comes from another site. Where there is neither a guard nor TLS, everybody who reaches
// the address may call, and a page of another site reaches it by giving its own name our address (DNS rebinding); the browser then
// says that name. So only names that nobody else can give are served: addresses, localhost, and the host of listen.
func FromBrowsers(next http.Handler, listen string, guarded bool) http.Handler {
	sameSite := http.NewCrossOriginProtection()
	own := hostOf(listen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := hostOf(r.Host); !guarded && r.TLS == nil && !local(name) && name != own {
			refuse(w, http.StatusMisdirectedRequest, codes.PermissionDenied, "this gateway lets everybody call who reaches it, so it answers under no "+
				"name that others can give: call it by its address or as localhost, or give it --access or TLS; it was called as "+name)
			return
		}
		if err := sameSite.Check(r); err != nil {
			refuse(w, http.StatusForbidden, codes.PermissionDenied, "a page of another site may not do that: "+err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf is the host of host:port, lower case, without a final dot and without brackets.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// local tells whether a host is one that no name server can make lead here: an address, or localhost.
func local(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// refuse answers as the API does.
func refuse(w http.ResponseWriter, status int, code codes.Code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message}) // where the caller is gone, nobody reads
}
