package gateway

import (
	"context"
	"net/http"
	"time"

	"slipstream/gateway/jsonapi"
	"slipstream/gateway/page"
	"slipstream/services/internal/access"
	"slipstream/services/internal/host"
)

// DefaultHTTP is where the gateway serves HTTP where nothing else is said.
const DefaultHTTP = "127.0.0.1:7480"

// ServeHTTP serves the gateway that is registered on p over HTTP, the API and the page; "off" serves nothing. It must be called
// after Guard and before p serves.
func ServeHTTP(ctx context.Context, p *host.Process, address string) (*host.HTTPServer, error) {
	conn, err := p.Self()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if err := jsonapi.Register(context.WithoutCancel(ctx), mux, conn); err != nil {
		return nil, err
	}
	if err := page.Register(mux); err != nil {
		return nil, err
	}
	return p.ServeHTTPS(ctx, "http", address, &http.Server{
		Handler: access.FromBrowsers(mux, address, p.Admit != nil), ReadHeaderTimeout: 5 * time.Second,
	})
}
