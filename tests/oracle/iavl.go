package main

import (
	"encoding/hex"
	"encoding/json"

	"cosmossdk.io/log"
	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
)

func init() { commands["iavl"] = buildIavl }

// iavlCase asks for a tree: pairs are written in order (an empty value removes), a version after each `commits` of them.
type iavlCase struct {
	Pairs   [][2]string `json:"pairs"`
	Commits int         `json:"commits"`
	Prove   []string    `json:"prove"`
}

// buildIavl answers the root of a real IAVL tree and a proof (existence or absence) for each key asked for.
func buildIavl(line []byte) (answer, error) {
	var raw iavlCase
	if err := json.Unmarshal(line, &raw); err != nil {
		return nil, err
	}
	tree := iavl.NewMutableTree(iavldb.NewMemDB(), 100, true, log.NewNopLogger())
	for i, pair := range raw.Pairs {
		if err := writePair(tree, pair); err != nil {
			return nil, err
		}
		if raw.Commits > 0 && (i+1)%raw.Commits == 0 {
			if _, _, err := tree.SaveVersion(); err != nil {
				return nil, err
			}
		}
	}
	root, _, err := tree.SaveVersion()
	if err != nil {
		return nil, err
	}
	proofs, err := proveAll(tree, raw.Prove)
	return answer{"root": hex.EncodeToString(root), "proofs": proofs}, err
}

func writePair(tree *iavl.MutableTree, pair [2]string) error {
	key, err := hex.DecodeString(pair[0])
	if err != nil {
		return err
	}
	value, err := hex.DecodeString(pair[1])
	if err != nil {
		return err
	}
	if len(value) == 0 {
		_, _, err = tree.Remove(key)
		return err
	}
	_, err = tree.Set(key, value)
	return err
}

func proveAll(tree *iavl.MutableTree, keys []string) ([]string, error) {
	proofs := []string{}
	for _, text := range keys {
		key, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		proof, err := tree.GetProof(key)
		if err != nil {
			return nil, err
		}
		data, err := proof.Marshal()
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, hex.EncodeToString(data))
	}
	return proofs, nil
}
