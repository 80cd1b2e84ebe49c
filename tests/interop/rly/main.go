// Command rly is the Go relayer as its authors release it: `go install` refuses their module for its
// replace directives, so this module repeats those directives and calls their command.
package main

import "github.com/cosmos/relayer/v2/cmd"

func main() {
	cmd.Execute()
}
