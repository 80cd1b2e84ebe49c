//go:build tools

// Package binaries pins the Fabric programs that `bsmg fabric` runs. `go install pkg@version` refuses Fabric's module
// (it lists versions first and finds none it likes), a module that requires it builds them.
package binaries

import (
	_ "github.com/hyperledger/fabric/cmd/configtxgen"
	_ "github.com/hyperledger/fabric/cmd/orderer"
	_ "github.com/hyperledger/fabric/cmd/peer"
)
