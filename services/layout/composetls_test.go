package layout

import (
	"crypto/tls"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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

// TestComposeTLS: deploy/compose.tls.yaml gives every service of the line a certificate, and lets those alone call it that
// deploy/compose.yaml tells of it; what deploy/compose/make-certificates makes fits.
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
		if !slices.Equal(over.Volumes, []string{"./compose/tls/" + name + ":/run/tls:ro"}) {
			t.Errorf("%s mounts %q", name, over.Volumes)
		}
		reads := variables(name)
		for variable, file := range over.Environment {
			if host := strings.TrimPrefix(file, "/run/tls/"); host != file {
				info, err := os.Stat(filepath.Join(made, name, host))
				if err != nil || info.Mode().Perm()&0o004 == 0 {
					t.Errorf("%s of %s: %s is not made, or not for user 65532: %v", variable, name, file, err)
				}
			}
			if reads != nil && !reads[variable] && !strings.HasPrefix(variable, "SLIPSTREAM_TLS_") {
				t.Errorf("%s does not read %s", name, variable)
			}
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
