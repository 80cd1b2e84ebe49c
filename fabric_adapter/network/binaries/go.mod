module bsmg/fabric-binaries

go 1.20

require github.com/hyperledger/fabric v1.4.0-rc1.0.20230401164317-bd8e24856939

// Fabric's own: a replace directive of a dependency does not count, so it is said again.
replace github.com/cespare/xxhash/v2 => github.com/cespare/xxhash/v2 v2.1.2
