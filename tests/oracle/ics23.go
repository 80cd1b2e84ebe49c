package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	ics23 "github.com/cosmos/ics23/go"
)

func init() {
	commands["ics23"] = verifyTree
	commands["merkle"] = verifyChain
}

// proofCase is one question. Bytes are hex. Without "value" absence is asked for.
type proofCase struct {
	Specs  []string `json:"specs"` // "iavl", "tendermint", "smt", or a ProofSpec in hex
	Root   string   `json:"root"`
	Path   []string `json:"path"` // root tree first
	Value  *string  `json:"value"`
	Proofs []string `json:"proofs"` // CommitmentProof each, leaf tree first
}

type question struct {
	specs  []*ics23.ProofSpec
	root   []byte
	path   [][]byte
	value  []byte
	absent bool
	proofs []*ics23.CommitmentProof
}

func parseQuestion(line []byte) (*question, error) {
	var raw proofCase
	if err := json.Unmarshal(line, &raw); err != nil {
		return nil, err
	}
	q := &question{absent: raw.Value == nil}
	var err error
	if q.root, err = hex.DecodeString(raw.Root); err != nil {
		return nil, err
	}
	if raw.Value != nil {
		if q.value, err = hex.DecodeString(*raw.Value); err != nil {
			return nil, err
		}
	}
	for _, text := range raw.Path {
		key, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		q.path = append(q.path, key)
	}
	for _, name := range raw.Specs {
		spec, err := specOf(name)
		if err != nil {
			return nil, err
		}
		q.specs = append(q.specs, spec)
	}
	for _, text := range raw.Proofs {
		data, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		proof := &ics23.CommitmentProof{}
		if err := proof.Unmarshal(data); err != nil {
			return nil, err
		}
		q.proofs = append(q.proofs, proof)
	}
	return q, nil
}

func specOf(name string) (*ics23.ProofSpec, error) {
	switch name {
	case "iavl":
		return ics23.IavlSpec, nil
	case "tendermint":
		return ics23.TendermintSpec, nil
	case "smt":
		return ics23.SmtSpec, nil
	}
	data, err := hex.DecodeString(name)
	if err != nil {
		return nil, fmt.Errorf("unknown spec %q", name)
	}
	spec := &ics23.ProofSpec{}
	return spec, spec.Unmarshal(data)
}

// verifyTree checks one proof of one tree.
func verifyTree(line []byte) (answer, error) {
	q, err := parseQuestion(line)
	if err != nil {
		return nil, err
	}
	if len(q.specs) != 1 || len(q.path) != 1 || len(q.proofs) != 1 {
		return nil, errors.New("expected one spec, one key and one proof")
	}
	if q.absent && !ics23.VerifyNonMembership(q.specs[0], q.root, q.proofs[0], q.path[0]) {
		return nil, errors.New("absence refused")
	}
	if !q.absent && !ics23.VerifyMembership(q.specs[0], q.root, q.proofs[0], q.path[0], q.value) {
		return nil, errors.New("existence refused")
	}
	return nil, nil
}

// verifyChain checks proofs of nested trees in the way of IBC: each root is the value of the next.
func verifyChain(line []byte) (answer, error) {
	q, err := parseQuestion(line)
	if err != nil {
		return nil, err
	}
	if len(q.specs) != len(q.proofs) || len(q.specs) != len(q.path) || len(q.specs) == 0 || len(q.root) == 0 {
		return nil, errors.New("lengths differ")
	}
	value := q.value
	if !q.absent && len(value) == 0 {
		return nil, errors.New("empty value")
	}
	for i, proof := range q.proofs {
		root, err := proof.Calculate()
		if err != nil {
			return nil, err
		}
		key := q.path[len(q.path)-1-i]
		if err := verifyStep(q, i, root, key, value); err != nil {
			return nil, err
		}
		value = root
	}
	if !bytes.Equal(value, q.root) {
		return nil, fmt.Errorf("expected root %X, got %X", q.root, value)
	}
	return nil, nil
}

func verifyStep(q *question, i int, root, key, value []byte) error {
	proof := q.proofs[i]
	if q.absent && i == 0 {
		if proof.GetNonexist() == nil || !ics23.VerifyNonMembership(q.specs[i], root, proof, key) {
			return errors.New("absence refused")
		}
		return nil
	}
	if proof.GetExist() == nil || !ics23.VerifyMembership(q.specs[i], root, proof, key, value) {
		return fmt.Errorf("existence refused at %d", i)
	}
	return nil
}
