module slipstream/services

go 1.26

require slipstream/proto v0.0.0

replace (
	slipstream/deploy/dev => ../deploy/dev
	slipstream/proto => ../proto
)
