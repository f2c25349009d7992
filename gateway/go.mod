module slipstream/gateway

go 1.26.0

require (
	github.com/goccy/go-yaml v1.19.2
	google.golang.org/protobuf v1.36.12
	slipstream/proto v0.0.0
)

require github.com/planetscale/vtprotobuf v0.6.1-0.20240319094008-0393e58bdf10 // indirect

replace (
	slipstream/deploy/dev => ../deploy/dev
	slipstream/proto => ../proto
)
