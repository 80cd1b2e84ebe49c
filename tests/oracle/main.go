// The oracle answers questions of the tests with the libraries that stock chains use.
//
// Every sub-command reads JSON lines on stdin and writes one JSON line for each:
// {"ok": true, ...} or {"ok": false, "error": "..."}. A new sub-command is a file of its own
// that registers itself in `commands`.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
)

// lineBytesMax bounds one request.
const lineBytesMax = 64 << 20

// answer is what a command says of one line; "ok" is added by the loop.
type answer map[string]any

// command handles one JSON line.
type command func(line []byte) (answer, error)

// commands holds the sub-commands by name.
var commands = map[string]command{}

func main() {
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		names := []string{}
		for name := range commands {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "expected one sub-command of %v, got %v\n", names, os.Args[1:])
		os.Exit(2)
	}
	if err := serve(commands[os.Args[1]]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(run command) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), lineBytesMax)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		if err := out.Encode(guarded(run, lines.Bytes())); err != nil {
			return err
		}
	}
	return lines.Err()
}

// guarded turns a panic of a library into an answer: for a hostile proof it is a refusal.
func guarded(run command, line []byte) (result answer) {
	defer func() {
		if caught := recover(); caught != nil {
			result = answer{"ok": false, "error": fmt.Sprintf("panic: %v", caught), "panic": true}
		}
	}()
	result, err := run(line)
	if err != nil {
		return answer{"ok": false, "error": err.Error()}
	}
	if result == nil {
		result = answer{}
	}
	result["ok"] = true
	return result
}
