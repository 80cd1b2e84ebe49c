// What ibc-go v10 says of IBC v2, written down for the Python tests:
//
//	go test -run TestVectors . -args ../vectors_v2.json
//
// Hashes, keys and encodings come from the exported functions; refusals from ValidateBasic and from two chains of
// ibc-go's testing package; events and store keys from a scenario between them.
package ibcgo

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"strings"
	"testing"

	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	transfer "github.com/cosmos/ibc-go/v10/modules/apps/transfer/types"
	channelv2 "github.com/cosmos/ibc-go/v10/modules/core/04-channel/v2/types"
	hostv2 "github.com/cosmos/ibc-go/v10/modules/core/24-host/v2"
	ibctesting "github.com/cosmos/ibc-go/v10/testing"
)

const clientID = "07-tendermint-0"

var signer = ibctesting.TestAccAddress

type row map[string]any

func text(data []byte) string { return hex.EncodeToString(data) }

func bytesOf(t *testing.T, message proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(message)
	require.NoError(t, err)
	return data
}

// code is "codespace/code" of a refusal, empty for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	space, number, _ := errorsmod.ABCIInfo(err, false)
	return space + "/" + big.NewInt(int64(number)).String()
}

func payload(port, version, encoding, value string) channelv2.Payload {
	return channelv2.NewPayload(port, port, version, encoding, []byte(value))
}

func good() channelv2.Payload { return payload("transfer", "ics20-1", "application/json", "value") }

func packets() []channelv2.Packet {
	odd := channelv2.NewPayload("a", "b.+-", "", " ", []byte{0, 255})
	return []channelv2.Packet{
		channelv2.NewPacket(1, clientID, "07-tendermint-1", 100, good()),
		channelv2.NewPacket(1<<64-1, "", "08-wasm-18446744073709551615", 1<<64-1, good(), odd),
		channelv2.NewPacket(2, "x", "\u00e9", 0, odd),
		channelv2.NewPacket(3, clientID, clientID, 7),
	}
}

func hashes(t *testing.T) (found []row, acks []row) {
	t.Helper()
	for _, packet := range packets() {
		found = append(found, row{"packet": text(bytesOf(t, &packet)), "commitment": text(channelv2.CommitPacket(packet))})
	}
	for _, parts := range [][][]byte{{}, {{}}, {[]byte(`{"result":"AQ=="}`)}, {{1}, {2, 3}}, {channelv2.ErrorAcknowledgement[:]}} {
		ack := channelv2.NewAcknowledgement(parts...)
		acks = append(acks, row{"ack": text(bytesOf(t, &ack)), "commitment": text(channelv2.CommitAcknowledgement(ack))})
	}
	return found, acks
}

func keys() (found []row) {
	for _, id := range []string{clientID, "08-wasm-12"} {
		for _, sequence := range []uint64{1, 256, 1<<64 - 1} {
			found = append(found, row{
				"client":          id,
				"sequence":        big.NewInt(0).SetUint64(sequence).String(),
				"commitment":      text(hostv2.PacketCommitmentKey(id, sequence)),
				"receipt":         text(hostv2.PacketReceiptKey(id, sequence)),
				"acknowledgement": text(hostv2.PacketAcknowledgementKey(id, sequence)),
				"async_packet":    text(channelv2.AsyncPacketKey(id, sequence)),
				"next":            text(hostv2.NextSequenceSendKey(id)),
				"escrow":          text(transfer.GetEscrowAddress("transfer", id)),
			})
		}
	}
	return found
}

func encodings(t *testing.T) (found []row) {
	t.Helper()
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)).String()
	cases := []transfer.FungibleTokenPacketData{
		transfer.NewFungibleTokenPacketData("bmga", "1", "alice", "bob", ""),
		transfer.NewFungibleTokenPacketData("transfer/07-tendermint-0/bmga", most, strings.Repeat("s", 32), strings.Repeat("r", 33), "m"),
		transfer.NewFungibleTokenPacketData("d", "65536", "\u00e9<&>", "r\u2028", strings.Repeat("memo ", 50)),
	}
	for _, data := range cases {
		one := row{"denom": data.Denom, "amount": data.Amount, "sender": data.Sender, "receiver": data.Receiver, "memo": data.Memo}
		for _, encoding := range []string{transfer.EncodingJSON, transfer.EncodingProtobuf, transfer.EncodingABI} {
			value, err := transfer.MarshalPacketData(data, transfer.V1, encoding)
			require.NoError(t, err)
			one[encoding] = text(value)
		}
		found = append(found, one)
	}
	return found
}

// reading is what comes of a value: the five members in hexadecimal (amount as it is), or the refusal.
func reading(value []byte) any {
	data, err := transfer.DecodeABIFungibleTokenPacketData(value)
	if err != nil {
		return code(err)
	}
	return []string{text([]byte(data.Denom)), text([]byte(data.Sender)), text([]byte(data.Receiver)), data.Amount, text([]byte(data.Memo))}
}

// readings damages a good ABI value, byte by byte and by length; some of what comes is readable.
func readings(t *testing.T) row {
	t.Helper()
	data := transfer.NewFungibleTokenPacketData("bmga", "5", "alice", "bob", "hello")
	whole, err := transfer.EncodeABIFungibleTokenPacketData(&data)
	require.NoError(t, err)
	flipped := []any{}
	for at := range whole {
		for _, flip := range []byte{1, 32, 128} {
			one := append([]byte{}, whole...)
			one[at] ^= flip
			flipped = append(flipped, []any{at, flip, reading(one)})
		}
	}
	cut := []any{}
	for size := 0; size <= len(whole); size += 7 {
		cut = append(cut, []any{size, reading(whole[:size])})
	}
	return row{"value": text(whole), "flipped": flipped, "cut": cut, "longer": reading(append(whole, 1, 2, 3))}
}

func TestVectors(t *testing.T) {
	path := flag.Arg(0)
	if path == "" {
		t.Fatal("expected the file to write after -args")
	}
	found, acks := hashes(t)
	document := row{
		"ibc_go":    "v10.7.0",
		"error_ack": text(channelv2.ErrorAcknowledgement[:]),
		"packets":   found,
		"acks":      acks,
		"keys":      keys(),
		"encodings": encodings(t),
		"readings":  readings(t),
		"stateless": stateless(t),
		"stateful":  stateful(t),
		"scenario":  scenario(t),
		"transfers": transfers(t),
	}
	data, err := json.Marshal(document)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(data, '\n'), 0o644))
}
