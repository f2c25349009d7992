package sqlserver

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/azuread"
	"github.com/microsoft/go-mssqldb/msdsn"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// logins are the ways of fedauth that need nobody at a keyboard.
var logins = []string{
	azuread.ActiveDirectoryDefault, azuread.ActiveDirectoryPassword, azuread.ActiveDirectoryServicePrincipal,
	azuread.ActiveDirectoryApplication, azuread.ActiveDirectoryServicePrincipalAccessToken, azuread.ActiveDirectoryManagedIdentity,
	azuread.ActiveDirectoryMSI, azuread.ActiveDirectoryWorkloadIdentity, azuread.ActiveDirectoryEnvironment,
	azuread.ActiveDirectoryAzurePipelines, azuread.ActiveDirectoryAzCli, azuread.ActiveDirectoryAzureDeveloperCli,
}

// connector makes the driver's: a SQL login; NTLM where the user is DOMAIN\account, which the driver sees by itself; Azure
// AD where fedauth says how. The password is set apart from the text that is parsed, since errors may quote that.
func (o *options) connector(conn *pipelinev1.Connection) (*mssql.Connector, error) {
	u, err := o.dsn(conn)
	if err != nil {
		return nil, err
	}
	if o.driver["fedauth"] != "" {
		return o.azure(u, conn)
	}
	config, err := msdsn.Parse(u.String())
	if err != nil {
		return nil, fmt.Errorf("reading the connection's arguments: %w", err)
	}
	config.User, config.Password = conn.GetUser(), conn.GetPassword()
	pool, err := o.roots()
	if err != nil {
		return nil, err
	}
	if config.TLSConfig != nil && pool != nil {
		config.TLSConfig.RootCAs = pool
	}
	return mssql.NewConnectorConfig(config), nil
}

// azure makes a connector that logs in with a token of Azure AD. Its parser wants user and password in the text.
func (o *options) azure(u *url.URL, conn *pipelinev1.Connection) (*mssql.Connector, error) {
	how := o.driver["fedauth"]
	if !slices.ContainsFunc(logins, func(known string) bool { return strings.EqualFold(known, how) }) {
		return nil, fmt.Errorf("fedauth is %q, not one of %s", how, strings.Join(logins, ", "))
	}
	query := u.Query()
	if o.caCert != "" {
		switch strings.ToLower(filepath.Ext(o.caCert)) {
		case ".pem", ".der":
			query.Set(msdsn.Certificate, o.caCert)
		default:
			return nil, fmt.Errorf("ca_cert is %s: with fedauth the name of the file must end in .pem or .der", o.caCert)
		}
	}
	u.RawQuery = query.Encode()
	if conn.GetUser() != "" || conn.GetPassword() != "" {
		u.User = url.UserPassword(conn.GetUser(), conn.GetPassword())
	}
	c, err := azuread.NewConnector(u.String())
	if err == nil {
		return c, nil
	}
	if text := err.Error(); conn.GetPassword() != "" && (strings.Contains(text, conn.GetPassword()) || strings.Contains(text, url.QueryEscape(conn.GetPassword()))) {
		err = errors.New("the driver does not take them, and its error quotes the password") // G10
	}
	return nil, fmt.Errorf("reading the connection's arguments: %w", err)
}
