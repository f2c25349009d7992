package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// Door is where a gateway is, and how to be let in.
type Door struct {
	// Address is host:port.
	Address string
	// TLS turns TLS on; CA (authorities), Cert and Key (to show) are PEM files, which turn it on too.
	TLS           bool
	CA, Cert, Key string
	// Token is sent with every call; empty: none is.
	Token string

	tokenFile string
}

// Variables of the flags of a door.
const (
	tokenVariable     = "SLIPSTREAM_TOKEN"
	tokenFileVariable = "SLIPSTREAM_TOKEN_FILE"
)

// doorFlags adds the flags that say how to be let in.
func (a *app) doorFlags(f *pflag.FlagSet) {
	f.BoolVar(&a.door.TLS, "tls", false, "reach the gateway over TLS; its certificate is checked against the authorities of the system")
	f.StringVar(&a.door.CA, "tls-ca", "", "file with the authorities that sign the gateway's certificate (PEM)")
	f.StringVar(&a.door.Cert, "tls-cert", "", "file with a certificate to show the gateway (PEM)")
	f.StringVar(&a.door.Key, "tls-key", "", "file with its key (PEM)")
	f.StringVar(&a.door.tokenFile, "token-file", "", "file with the token that the gateway asks for (variables "+tokenFileVariable+" and "+tokenVariable+")")
}

// doorTo is the door at an address, as flags and variables say.
func (a *app) doorTo(address string) (Door, error) {
	d := a.door
	d.Address = address
	for _, x := range []struct {
		value    *string
		variable string
	}{
		{&d.CA, "SLIPSTREAM_TLS_CA"},
		{&d.Cert, "SLIPSTREAM_TLS_CERT"},
		{&d.Key, "SLIPSTREAM_TLS_KEY"},
		{&d.tokenFile, tokenFileVariable},
	} {
		if *x.value == "" {
			*x.value = a.deps.Getenv(x.variable)
		}
	}
	if (d.Cert == "") != (d.Key == "") {
		return d, misused("--tls-cert and --tls-key belong together: give both")
	}
	d.Token = a.deps.Getenv(tokenVariable)
	if d.tokenFile != "" {
		text, err := os.ReadFile(d.tokenFile)
		if err != nil {
			return d, fmt.Errorf("reading the token (--token-file): %w", err)
		}
		if d.Token = strings.TrimSpace(string(text)); d.Token == "" {
			return d, fmt.Errorf("reading the token (--token-file): %s is empty", d.tokenFile)
		}
	}
	return d, nil
}
