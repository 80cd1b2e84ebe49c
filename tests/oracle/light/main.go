// The oracle of the light client tests: CometBFT's own answers, one JSON question a line in, one JSON answer a line out.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtmath "github.com/cometbft/cometbft/libs/math"
	"github.com/cometbft/cometbft/light"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// Question carries the arguments of every operation; messages are protobuf bytes.
type Question struct {
	Op      string `json:"op"`
	ChainID string `json:"chain_id"`
	Height  int64  `json:"height"`
	Round   int32  `json:"round"`
	Index   int32  `json:"index"`

	Signed     []byte   `json:"signed"`
	Set        []byte   `json:"set"`
	TrustedSet []byte   `json:"trusted_set"`
	NextHash   []byte   `json:"next_hash"`
	Items      [][]byte `json:"items"`
	Key        []byte   `json:"key"`
	Message    []byte   `json:"message"`
	Signature  []byte   `json:"signature"`

	TrustedNs   int64  `json:"trusted_ns"`
	NowNs       int64  `json:"now_ns"`
	PeriodNs    int64  `json:"period_ns"`
	DriftNs     int64  `json:"drift_ns"`
	Numerator   uint64 `json:"numerator"`
	Denominator uint64 `json:"denominator"`
}

// Answer is hexadecimal bytes or a verdict with its reason.
type Answer struct {
	Out    string `json:"out"`
	Detail string `json:"detail"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<28)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var question Question
		if err := json.Unmarshal(lines.Bytes(), &question); err != nil {
			fmt.Fprintln(os.Stderr, "not a question:", err)
			os.Exit(2)
		}
		if err := out.Encode(answer(question)); err != nil {
			os.Exit(2)
		}
	}
}

func answer(question Question) (reply Answer) {
	defer func() {
		if caught := recover(); caught != nil {
			reply = Answer{Out: "panic", Detail: fmt.Sprint(caught)}
		}
	}()
	operations := map[string]func(Question) (string, error){
		"header_hash":     headerHash,
		"commit_hash":     commitHash,
		"set_hash":        setHash,
		"vote_bytes":      voteBytes,
		"extension_bytes": extensionBytes,
		"merkle_root":     merkleRoot,
		"ed25519":         signatureCheck,
		"verify":          verify,
		"own_set":         ownSet,
		"trusting":        trusting,
	}
	operation, known := operations[question.Op]
	if !known {
		return Answer{Out: "error", Detail: "unknown operation " + question.Op}
	}
	text, err := operation(question)
	if err != nil {
		return Answer{Out: "error", Detail: err.Error()}
	}
	return Answer{Out: text}
}

func signedHeader(raw []byte) (*types.SignedHeader, error) {
	var wire cmtproto.SignedHeader
	if err := wire.Unmarshal(raw); err != nil {
		return nil, err
	}
	return types.SignedHeaderFromProto(&wire)
}

func validatorSet(raw []byte) (*types.ValidatorSet, error) {
	var wire cmtproto.ValidatorSet
	if err := wire.Unmarshal(raw); err != nil {
		return nil, err
	}
	return types.ValidatorSetFromProto(&wire)
}

func headerHash(question Question) (string, error) {
	var wire cmtproto.SignedHeader
	if err := wire.Unmarshal(question.Signed); err != nil {
		return "", err
	}
	header, _ := types.HeaderFromProto(wire.Header) // invalid ones have a hash too
	return hex.EncodeToString(header.Hash()), nil
}

func commitHash(question Question) (string, error) {
	signed, err := signedHeader(question.Signed)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(signed.Commit.Hash()), nil
}

func setHash(question Question) (string, error) {
	set, err := validatorSet(question.Set)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(set.Hash()), nil
}

func voteBytes(question Question) (string, error) {
	signed, err := signedHeader(question.Signed)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(signed.Commit.VoteSignBytes(question.ChainID, question.Index)), nil
}

func extensionBytes(question Question) (string, error) {
	vote := cmtproto.Vote{Height: question.Height, Round: question.Round, Extension: question.Message}
	return hex.EncodeToString(types.VoteExtensionSignBytes(question.ChainID, &vote)), nil
}

func merkleRoot(question Question) (string, error) {
	return hex.EncodeToString(merkle.HashFromByteSlices(question.Items)), nil
}

func signatureCheck(question Question) (string, error) {
	return fmt.Sprint(ed25519.PubKey(question.Key).VerifySignature(question.Message, question.Signature)), nil
}

func parts(question Question) (*types.SignedHeader, *types.ValidatorSet, error) {
	signed, err := signedHeader(question.Signed)
	if err != nil {
		return nil, nil, err
	}
	set, err := validatorSet(question.Set)
	return signed, set, err
}

func ownSet(question Question) (string, error) {
	signed, set, err := parts(question)
	if err != nil {
		return "", err
	}
	commit := signed.Commit
	return "valid", set.VerifyCommitLight(question.ChainID, commit.BlockID, commit.Height, commit)
}

func trusting(question Question) (string, error) {
	signed, set, err := parts(question)
	if err != nil {
		return "", err
	}
	return "valid", set.VerifyCommitLightTrusting(question.ChainID, signed.Commit, level(question))
}

func level(question Question) cmtmath.Fraction {
	return cmtmath.Fraction{Numerator: question.Numerator, Denominator: question.Denominator}
}

func verify(question Question) (string, error) {
	untrusted, set, err := parts(question)
	if err != nil {
		return "", err
	}
	trustedSet, err := validatorSet(question.TrustedSet)
	if err != nil {
		return "", err
	}
	trusted := &types.SignedHeader{Header: &types.Header{
		ChainID:            question.ChainID,
		Height:             question.Height,
		Time:               time.Unix(0, question.TrustedNs).UTC(),
		NextValidatorsHash: question.NextHash,
	}}
	err = light.Verify(trusted, trustedSet, untrusted, set, time.Duration(question.PeriodNs),
		time.Unix(0, question.NowNs).UTC(), time.Duration(question.DriftNs), level(question))
	var few light.ErrNewValSetCantBeTrusted
	if errors.As(err, &few) {
		return "not enough trust", nil
	}
	return "valid", err
}
