package layout

import (
	"crypto/tls"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
	"slipstream/services/internal/stage/gateway"
)

// callers are the services that a compose file tells of a service, sorted.
func callers(compose composed, service string) (all []string) {
	for name, s := range compose.Services {
		for variable, value := range s.Environment {
			if strings.HasPrefix(variable, "SLIPSTREAM_") && slices.ContainsFunc(strings.Split(value, ","), func(address string) bool {
				_, after, typed := strings.Cut(address, "=")
				if !typed {
					after = address
				}
				return strings.HasPrefix(after, service+":")
			}) {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}

var fileOfTLS = regexp.MustCompile(`/run/tls/([a-z.]+)`)

// madeFor looks that make-certificates made each file of /run/tls that a text of a service names, for every account, and
// says how many it names.
func madeFor(t *testing.T, made, service, text string) int {
	t.Helper()
	named := fileOfTLS.FindAllStringSubmatch(text, -1)
	for _, file := range named {
		info, err := os.Stat(filepath.Join(made, service, file[1]))
		if err != nil || info.Mode().Perm()&0o004 == 0 {
			t.Errorf("%s of %s is not made, or not for the account of its process: %v", file[0], service, err)
		}
	}
	return len(named)
}

// connectionsOverTLS: compose/config.tls.yaml is compose/pipeline/config.yaml with TLS at each connection, verified by authority
// and name, and a certificate to show.
func connectionsOverTLS(t *testing.T) {
	t.Helper()
	type connections struct{ Connections map[string]map[string]any }
	clear, secured := read[connections](t, "compose/pipeline/config.yaml"), read[connections](t, "compose/config.tls.yaml")
	const ca, cert, key = "/run/tls/ca.crt", "/run/tls/tls.crt", "/run/tls/tls.key"
	adds := map[string]map[string]any{
		"redis":      {"cacert": ca, "cert": cert, "key": key},
		"postgresql": {"query_args": map[string]any{"sslmode": "verify-full", "sslrootcert": ca, "sslcert": cert, "sslkey": key}},
		"mariadb":    {"connect_args": map[string]any{"ssl_ca": ca, "ssl_cert": cert, "ssl_key": key, "ssl_verify_identity": true}},
	}
	if len(clear.Connections) != len(adds) {
		t.Errorf("connections %v", clear.Connections)
	}
	for name, c := range clear.Connections {
		kind, _ := c["type"].(string)
		maps.Copy(c, adds[kind])
		if !reflect.DeepEqual(c, secured.Connections[name]) {
			t.Errorf("the connection %s with TLS is %v, want %v", name, secured.Connections[name], c)
		}
	}
}

// scrapesOverTLS: prometheus.tls.yaml is prometheus.yaml with TLS at each scrape, a certificate to show and the name that a
// service has in its own where it is called by address; Prometheus of compose.tls.yaml reads it, and promtool accepts it.
func scrapesOverTLS(t *testing.T, made string) {
	t.Helper()
	clear, secured := read[map[string]any](t, "prometheus/prometheus.yaml"), read[map[string]any](t, "prometheus/prometheus.tls.yaml")
	scrapes, _ := clear["scrape_configs"].([]any)
	for _, s := range scrapes {
		scrape, _ := s.(map[string]any)
		scrape["scheme"] = "https"
		shows := map[string]any{"ca_file": "/run/tls/ca.crt", "cert_file": "/run/tls/tls.crt", "key_file": "/run/tls/tls.key"}
		if looked, ok := scrape["dns_sd_configs"].([]any); ok {
			names, _ := looked[0].(map[string]any)["names"].([]any)
			shows["server_name"] = names[0]
		}
		scrape["tls_config"] = shows
	}
	if len(scrapes) == 0 || !reflect.DeepEqual(clear, secured) {
		t.Errorf("over TLS Prometheus scrapes\n%v, want\n%v", secured, clear)
	}
	p := read[composed](t, "compose.tls.yaml").Services["prometheus"]
	if !slices.Contains(p.Command, "--config.file=/etc/prometheus/prometheus.tls.yaml") || !slices.Contains(p.Volumes, "./compose/tls/prometheus:/run/tls:ro") {
		t.Errorf("Prometheus is run with %q, and mounts %q", p.Command, p.Volumes)
	}
	text, err := os.ReadFile(filepath.Join(root(t), "deploy/prometheus/prometheus.tls.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if madeFor(t, made, "prometheus", string(text)) == 0 {
		t.Error("no file of TLS is named")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"prometheus.yaml": strings.ReplaceAll(string(text), "/run/tls", filepath.Join(made, "prometheus")), "rules.yaml": "groups: []\n", "alerts.yaml": "groups: []\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "config", filepath.Join(dir, "prometheus.yaml")).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestComposeTLS: deploy/compose.tls.yaml gives every service of the line a certificate, and lets those alone call it that
// deploy/compose.yaml tells of it; metrics are served and scraped over TLS; Redis and the databases have certificates, and the
// connections to them use TLS; what deploy/compose/make-certificates makes fits.
func TestComposeTLS(t *testing.T) {
	made := filepath.Join(t.TempDir(), "tls")
	for range 2 { // a second run renews
		if out, err := exec.CommandContext(t.Context(), filepath.Join(root(t), "deploy/compose/make-certificates"), made).CombinedOutput(); err != nil {
			t.Fatalf("make-certificates: %v\n%s", err, out)
		}
	}
	compose, secured := read[composed](t, "compose.yaml"), read[composed](t, "compose.tls.yaml")
	for name, service := range compose.Services {
		if !strings.HasPrefix(service.Image, "slipstream") {
			continue
		}
		over, ok := secured.Services[name]
		if !ok {
			t.Errorf("%s has no TLS", name)
			continue
		}
		if len(over.Volumes) == 0 || over.Volumes[0] != "./compose/tls/"+name+":/run/tls:ro" || len(over.Volumes) > 1 && name != "deploy" {
			t.Errorf("%s mounts %q", name, over.Volumes)
		}
		reads := variables(name)
		for variable, file := range over.Environment {
			madeFor(t, made, name, variable+"="+file)
			if reads != nil && !reads[variable] && !strings.HasPrefix(variable, "SLIPSTREAM_TLS_") && variable != "SLIPSTREAM_METRICS_TLS" {
				t.Errorf("%s does not read %s", name, variable)
			}
		}
		if over.Environment["SLIPSTREAM_METRICS_TLS"] != "true" {
			t.Errorf("%s serves its metrics in the clear", name)
		}
		folder := filepath.Join(made, name)
		i := host.Identity{Cert: folder + "/tls.crt", Key: folder + "/tls.key", CA: folder + "/ca.crt"}
		if err := i.Check(true); err != nil {
			t.Errorf("the certificate of %s: %v", name, err)
			continue
		}
		pair, err := tls.LoadX509KeyPair(i.Cert, i.Key)
		if err != nil {
			t.Fatal(err)
		}
		if names := host.Names(pair.Leaf); !slices.Contains(names, name) {
			t.Errorf("the certificate of %s names %q", name, names)
		}
		if image, ours := strings.CutPrefix(service.Image, "slipstream-"); ours && !strings.HasPrefix(image, "gateway") {
			want := append(callers(compose, name), name)
			got := strings.Split(over.Environment["SLIPSTREAM_TLS_PEERS"], ",")
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) || len(want) < 2 {
				t.Errorf("%s may be called by %q; compose.yaml has it called by %q", name, got, want)
			}
		}
	}
	for _, name := range []string{"redis", "postgres", "mariadb"} {
		over, was := secured.Services[name], compose.Services[name]
		if len(over.Volumes) == 0 || over.Volumes[0] != "./compose/tls/"+name+":/run/tls:ro" || len(over.Healthcheck.Test) == 0 || len(was.Volumes) == 0 {
			t.Errorf("%s mounts %q, and its health is asked by %q", name, over.Volumes, over.Healthcheck.Test)
		}
		for _, volume := range over.Volumes[1:] {
			from, _, _ := strings.Cut(volume, ":")
			if info, err := os.Stat(filepath.Join(root(t), "deploy", from)); err != nil || info.Mode().Perm()&0o004 == 0 {
				t.Errorf("%s mounts %s, which is not there or closed to its account: %v", name, from, err)
			}
		}
		if n := madeFor(t, made, name, strings.Join(slices.Concat(over.Entrypoint, over.Command, over.Healthcheck.Test), " ")); n < 5 {
			t.Errorf("%s and the probe of its health name %d files of TLS", name, n)
		}
		pair, err := tls.LoadX509KeyPair(filepath.Join(made, name, "tls.crt"), filepath.Join(made, name, "tls.key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, called := range []string{name, "localhost", "127.0.0.1"} {
			if err := pair.Leaf.VerifyHostname(called); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	connectionsOverTLS(t)
	scrapesOverTLS(t, made)
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the keys is open: %v, %v", info, err)
	}

	p := host.New("gateway", slog.New(slog.DiscardHandler))
	if err := gateway.Guard(p, filepath.Join(made, "gateway/access.yaml")); err != nil {
		t.Fatal(err)
	}
	for who, may := range map[string]map[string]codes.Code{
		"monitor": {gatewayv1.GatewayService_Status_FullMethodName: codes.OK, gatewayv1.GatewayService_Deploy_FullMethodName: codes.PermissionDenied},
		"deploy":  {gatewayv1.GatewayService_Deploy_FullMethodName: codes.OK},
	} {
		token, err := os.ReadFile(filepath.Join(made, who, "token"))
		if err != nil {
			t.Fatal(err)
		}
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+strings.TrimSpace(string(token))))
		for method, want := range may {
			if _, err := p.Admit(ctx, method); status.Code(err) != want {
				t.Errorf("%s calls %s: %v, want %v", who, method, err, want)
			}
		}
	}
}
