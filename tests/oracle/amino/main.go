// The oracle of sign modes and account keys: what the Cosmos SDK 0.53 signs, verifies and derives.
//
// Argument: a file with a FileDescriptorSet of the messages that no Go package here knows. Every line of stdin is a
// question, every line of stdout its answer: {"ok": true, ...} or {"ok": false, "error": "..."}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	_ "cosmossdk.io/api/cosmos/feegrant/v1beta1"
	signingapi "cosmossdk.io/api/cosmos/tx/signing/v1beta1"
	txapi "cosmossdk.io/api/cosmos/tx/v1beta1"
	txsigning "cosmossdk.io/x/tx/signing"
	"cosmossdk.io/x/tx/signing/aminojson"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/std"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	gogoproto "github.com/cosmos/gogoproto/proto"
	transfertypes "github.com/cosmos/ibc-go/v10/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v10/modules/core/02-client/types"
	connectiontypes "github.com/cosmos/ibc-go/v10/modules/core/03-connection/types"
	channeltypes "github.com/cosmos/ibc-go/v10/modules/core/04-channel/types"
	tendermint "github.com/cosmos/ibc-go/v10/modules/light-clients/07-tendermint"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

const lineBytesMax = 8 << 20


type question struct {
	Kind     string `json:"kind"`
	Tx       []byte `json:"tx"`   // TxRaw
	Mode     int32  `json:"mode"` // of `bytes`
	ChainID  string `json:"chain_id"`
	Number   uint64 `json:"number"`
	Sequence uint64 `json:"sequence"`
	Address  string `json:"address"`
	Key      []byte `json:"key"`     // Any
	Message  []byte `json:"message"` // Any, of `encode`
}

type answer map[string]any

type oracle struct {
	config   client.TxConfig
	registry codectypes.InterfaceRegistry
	handler  *aminojson.SignModeHandler // of own messages too
	encoder  aminojson.Encoder
}

// files answers from the given set first, then from what is linked in.
type files struct{ own *protoregistry.Files }

func (f files) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if found, err := f.own.FindFileByPath(path); err == nil {
		return found, nil
	}
	return gogoproto.HybridResolver.FindFileByPath(path)
}

func (f files) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if found, err := gogoproto.HybridResolver.FindDescriptorByName(name); err == nil {
		return found, nil
	}
	return f.own.FindDescriptorByName(name)
}

func (f files) RangeFiles(visit func(protoreflect.FileDescriptor) bool) { f.own.RangeFiles(visit) }

func newOracle(path string) (*oracle, error) {
	codecs := address.Bech32Codec{Bech32Prefix: "bsmg"}
	registry, err := codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles:     gogoproto.HybridResolver,
		SigningOptions: txsigning.Options{AddressCodec: codecs, ValidatorAddressCodec: codecs},
	})
	if err != nil {
		return nil, err
	}
	std.RegisterInterfaces(registry)
	for _, register := range []func(codectypes.InterfaceRegistry){
		banktypes.RegisterInterfaces, transfertypes.RegisterInterfaces, clienttypes.RegisterInterfaces,
		connectiontypes.RegisterInterfaces, channeltypes.RegisterInterfaces, tendermint.RegisterInterfaces,
	} {
		register(registry)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		return nil, err
	}
	own, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	config := authtx.NewTxConfig(codec.NewProtoCodec(registry), authtx.DefaultSignModes)
	handler := aminojson.NewSignModeHandler(aminojson.SignModeHandlerOptions{FileResolver: files{own}})
	encoder := aminojson.NewEncoder(aminojson.EncoderOptions{FileResolver: files{own}})
	return &oracle{config: config, registry: registry, handler: handler, encoder: encoder}, nil
}

func (o *oracle) key(packed []byte) (cryptotypes.PubKey, error) {
	wrapped := &codectypes.Any{}
	if err := wrapped.Unmarshal(packed); err != nil {
		return nil, err
	}
	var key cryptotypes.PubKey
	return key, o.registry.UnpackAny(wrapped, &key)
}

func (q question) signer() txsigning.SignerData {
	key := &anypb.Any{}
	if err := proto.Unmarshal(q.Key, key); err != nil {
		panic(err)
	}
	return txsigning.SignerData{
		Address: q.Address, ChainID: q.ChainID, AccountNumber: q.Number, Sequence: q.Sequence, PubKey: key,
	}
}

func (o *oracle) data(q question) (authsigning.Tx, txsigning.TxData, error) {
	decoded, err := o.config.TxDecoder()(q.Tx)
	if err != nil {
		return nil, txsigning.TxData{}, err
	}
	return decoded.(authsigning.Tx), decoded.(authsigning.V2AdaptableTx).GetSigningTxData(), nil
}

// bytes: what the SDK signs, after its own decoder.
func (o *oracle) bytes(q question) (answer, error) {
	_, data, err := o.data(q)
	if err != nil {
		return nil, err
	}
	made, err := o.config.SignModeHandler().GetSignBytes(context.Background(), signingapi.SignMode(q.Mode), q.signer(), data)
	return answer{"bytes": made}, err
}

// document: the amino document of any message, own ones among them.
func (o *oracle) document(q question) (answer, error) {
	raw, body, auth := &txapi.TxRaw{}, &txapi.TxBody{}, &txapi.AuthInfo{}
	if err := proto.Unmarshal(q.Tx, raw); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(raw.BodyBytes, body); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(raw.AuthInfoBytes, auth); err != nil {
		return nil, err
	}
	data := txsigning.TxData{Body: body, BodyBytes: raw.BodyBytes, AuthInfo: auth, AuthInfoBytes: raw.AuthInfoBytes}
	made, err := o.handler.GetSignBytes(context.Background(), q.signer(), data)
	return answer{"bytes": made}, err
}

// encode: one message within Any.
func (o *oracle) encode(q question) (answer, error) {
	message := &anypb.Any{}
	if err := proto.Unmarshal(q.Message, message); err != nil {
		return nil, err
	}
	made, err := o.encoder.Marshal(message)
	return answer{"bytes": made}, err
}

func (o *oracle) address(q question) (answer, error) {
	key, err := o.key(q.Key)
	if err != nil {
		return nil, err
	}
	return answer{"address": key.Address().Bytes()}, nil
}

// verify: the first signature of a transaction.
func (o *oracle) verify(q question) (answer, error) {
	decoded, data, err := o.data(q)
	if err != nil {
		return nil, err
	}
	key, err := o.key(q.Key)
	if err != nil {
		return nil, err
	}
	signatures, err := decoded.GetSignaturesV2()
	if err != nil {
		return nil, err
	}
	handler := o.config.SignModeHandler()
	return nil, authsigning.VerifySignature(context.Background(), key, q.signer(), signatures[0].Data, handler, data)
}

// decode: whether the SDK's decoder takes the bytes.
func (o *oracle) decode(q question) (answer, error) {
	_, err := o.config.TxDecoder()(q.Tx)
	return nil, err
}

func (o *oracle) ask(line []byte) (result answer) {
	defer func() {
		if caught := recover(); caught != nil {
			result = answer{"ok": false, "error": fmt.Sprintf("panic: %v", caught), "panic": true}
		}
	}()
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return answer{"ok": false, "error": err.Error()}
	}
	kinds := map[string]func(question) (answer, error){
		"bytes": o.bytes, "document": o.document, "encode": o.encode, "address": o.address, "verify": o.verify,
		"decode": o.decode,
	}
	found, err := kinds[q.Kind](q)
	if err != nil {
		return answer{"ok": false, "error": err.Error()}
	}
	if found == nil {
		found = answer{}
	}
	found["ok"] = true
	return found
}

func main() {
	o, err := newOracle(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(make([]byte, 1<<20), lineBytesMax)
	for lines.Scan() {
		if err := out.Encode(o.ask(lines.Bytes())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
