module slipstream/deploy/dev

go 1.26
