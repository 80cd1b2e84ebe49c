package ibcgo

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	transfer "github.com/cosmos/ibc-go/v10/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v10/modules/core/02-client/types"
	channeltypes "github.com/cosmos/ibc-go/v10/modules/core/04-channel/types"
	ibctesting "github.com/cosmos/ibc-go/v10/testing"
)

// varying are the attributes whose values hang on heights, times, keys or the wording of an error.
var varying = map[string]bool{
	"consensus_height": true, "consensus_heights": true, "packet_data_hex": true, "packet_timeout_timestamp": true, "error": true,
}

// watch keeps the events of every message that a chain runs from now on, in order.
func watch(chain *ibctesting.TestChain, name string, names *strings.Replacer, into *[]row) {
	var record func(messages ...sdk.Msg) (*abci.ExecTxResult, error)
	record = func(messages ...sdk.Msg) (*abci.ExecTxResult, error) {
		chain.SendMsgsOverride = nil
		defer func() { chain.SendMsgsOverride = record }()
		result, err := chain.SendMsgs(messages...)
		if err == nil {
			urls := []string{}
			for _, message := range messages {
				urls = append(urls, sdk.MsgTypeURL(message))
			}
			*into = append(*into, row{"chain": name, "messages": urls, "events": eventsOf(result, names)})
		}
		return result, err
	}
	chain.SendMsgsOverride = record
}

func eventsOf(result *abci.ExecTxResult, names *strings.Replacer) []any {
	events := []any{}
	for _, event := range result.Events {
		attributes, ofMessage := []any{}, false
		for _, attribute := range event.Attributes {
			ofMessage = ofMessage || attribute.Key == "msg_index"
			value := names.Replace(attribute.Value)
			if varying[strings.TrimPrefix(attribute.Key, "ibccallbackerror-")] {
				value = "*"
			}
			attributes = append(attributes, []string{attribute.Key, value})
		}
		if ofMessage {
			events = append(events, []any{event.Type, attributes})
		}
	}
	return events
}

// TestEvents writes down the events of IBC v1 and of the bank, message by message:
//
//	go test -run TestEvents . -args ../events_v1.json
func TestEvents(t *testing.T) {
	file := flag.Arg(0)
	if file == "" {
		t.Fatal("expected the file to write after -args")
	}
	coordinator := ibctesting.NewCoordinator(t, 2)
	path := ibctesting.NewTransferPath(
		coordinator.GetChain(ibctesting.GetChainID(1)), coordinator.GetChain(ibctesting.GetChainID(2)),
	)
	a, b := path.EndpointA, path.EndpointB
	voucher := transfer.NewDenom("stake", transfer.NewHop("transfer", "channel-0")).IBCDenom()
	names := strings.NewReplacer(
		address(a), "ALICE", address(b), "BOB", strings.TrimPrefix(voucher, "ibc/"), "VOUCHER",
		transfer.GetEscrowAddress("transfer", "channel-0").String(), "ESCROW",
		authtypes.NewModuleAddress("transfer").String(), "MODULE",
	)
	steps := []row{}
	watch(a.Chain, "a", names, &steps)
	watch(b.Chain, "b", names, &steps)
	path.DisableUniqueChannelIDs().Setup() // the same names at both ends, as ours are
	there := send(t, a, coin("stake", 60), address(b), time.Hour)
	require.NoError(t, path.RelayPacket(there))
	require.NoError(t, path.RelayPacket(send(t, b, coin(voucher, 25), address(a), time.Hour)))
	require.NoError(t, path.RelayPacket(send(t, a, coin("stake", 7), "nobody", time.Hour)))
	late := send(t, a, coin("stake", 8), address(b), time.Minute)
	coordinator.IncrementTimeBy(2 * time.Hour)
	coordinator.CommitBlock(a.Chain, b.Chain)
	require.NoError(t, a.UpdateClient())
	require.NoError(t, a.TimeoutPacket(late))
	pay(t, a.Chain, address(a), address(b))
	data, err := json.Marshal(row{"ibc_go": "v10.7.0", "steps": steps})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
}

func send(t *testing.T, end *ibctesting.Endpoint, token sdk.Coin, receiver string, limit time.Duration) channeltypes.Packet {
	t.Helper()
	timeout := uint64(end.Chain.GetContext().BlockTime().Add(limit).UnixNano())
	result, err := end.Chain.SendMsgs(transfer.NewMsgTransfer(
		"transfer", end.ChannelID, token, address(end), receiver, clienttypes.ZeroHeight(), timeout, "memo",
	))
	require.NoError(t, err)
	packet, err := ibctesting.ParseV1PacketFromEvents(result.Events)
	require.NoError(t, err)
	return packet
}

func pay(t *testing.T, chain *ibctesting.TestChain, from, to string) {
	t.Helper()
	coins := sdk.NewCoins(coin("stake", 3))
	many := &banktypes.MsgMultiSend{
		Inputs:  []banktypes.Input{{Address: from, Coins: sdk.NewCoins(coin("stake", 6))}},
		Outputs: []banktypes.Output{{Address: to, Coins: coins}, {Address: from, Coins: coins}},
	}
	single := &banktypes.MsgSend{FromAddress: from, ToAddress: to, Amount: coins}
	_, err := chain.SendMsgs(single, many)
	require.NoError(t, err)
}
