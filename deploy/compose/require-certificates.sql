-- What the MariaDB of compose.tls.yaml runs at every start; at the first one the account is not there yet.
ALTER USER IF EXISTS 'slipstream'@'%' REQUIRE X509;
