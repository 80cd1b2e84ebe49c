package ibcgo

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdkmath "cosmossdk.io/math"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	transfer "github.com/cosmos/ibc-go/v10/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v10/modules/core/02-client/types"
	channelv2 "github.com/cosmos/ibc-go/v10/modules/core/04-channel/v2/types"
	hostv2 "github.com/cosmos/ibc-go/v10/modules/core/24-host/v2"
	"github.com/cosmos/ibc-go/v10/modules/core/exported"
	ibctesting "github.com/cosmos/ibc-go/v10/testing"
)

// play is the scenario under way: two chains, names for what differs between runs, and what was seen.
type play struct {
	t     *testing.T
	a, b  *ibctesting.Endpoint
	names *strings.Replacer
	steps []row
}

// scenario sends tokens there and back, has one packet refused and one late; events and state of each step.
func scenario(t *testing.T) row {
	t.Helper()
	coordinator := ibctesting.NewCoordinator(t, 2)
	path := ibctesting.NewPath(coordinator.GetChain(ibctesting.GetChainID(1)), coordinator.GetChain(ibctesting.GetChainID(2)))
	path.SetupV2()
	p := &play{t: t, a: path.EndpointA, b: path.EndpointB}
	p.names = strings.NewReplacer(address(p.a), "ALICE", address(p.b), "BOB")
	voucher := transfer.NewDenom("stake", transfer.NewHop("transfer", clientID)).IBCDenom()
	for _, encoding := range []string{"", transfer.EncodingProtobuf, transfer.EncodingABI} {
		p.relay("there "+encoding, p.a, p.b, p.send("there "+encoding, p.a, coin("stake", 60), address(p.b), encoding))
		p.relay("back "+encoding, p.b, p.a, p.send("back "+encoding, p.b, coin(voucher, 25), address(p.a), encoding))
	}
	p.relay("refused", p.a, p.b, p.send("refused", p.a, coin("stake", 7), "nobody", ""))
	late := p.send("late", p.a, coin("stake", 8), address(p.b), "")
	coordinator.IncrementTimeBy(2 * time.Hour)
	coordinator.CommitBlock(p.a.Chain, p.b.Chain)
	require.NoError(t, p.a.UpdateClient())
	key := hostv2.PacketReceiptKey(clientID, late.Sequence)
	proof, height := p.b.QueryProof(key)
	p.step("late: timeout", p.a, channelv2.NewMsgTimeout(late, proof, height, address(p.a)))
	return row{"steps": p.steps, "a": p.state(p.a), "b": p.state(p.b)}
}

func address(end *ibctesting.Endpoint) string { return end.Chain.SenderAccount.GetAddress().String() }

func coin(denom string, amount int64) sdk.Coin { return sdk.NewCoin(denom, sdkmath.NewInt(amount)) }

// step delivers a message and keeps its events.
func (p *play) step(name string, end *ibctesting.Endpoint, message sdk.Msg) *abci.ExecTxResult {
	result, err := end.Chain.SendMsgs(message)
	require.NoError(p.t, err)
	events := []any{}
	for _, event := range result.Events {
		attributes, ofMessage := []any{}, false
		for _, attribute := range event.Attributes {
			if attribute.Key == "msg_index" {
				ofMessage = true
				continue
			}
			attributes = append(attributes, []string{attribute.Key, p.shown(attribute)})
		}
		if ofMessage {
			events = append(events, []any{event.Type, attributes})
		}
	}
	p.steps = append(p.steps, row{"name": name, "events": events})
	return result
}

// shown is an attribute's value, "*" where it hangs on the time or on the keys of this run.
func (p *play) shown(attribute abci.EventAttribute) string {
	if attribute.Key == channelv2.AttributeKeyEncodedPacketHex || attribute.Key == channelv2.AttributeKeyTimeoutTimestamp {
		return "*"
	}
	return p.names.Replace(attribute.Value)
}

func (p *play) send(name string, end *ibctesting.Endpoint, token sdk.Coin, receiver, encoding string) channelv2.Packet {
	timeout := uint64(end.Chain.GetContext().BlockTime().Add(time.Hour).Unix())
	message := transfer.NewMsgTransferWithEncoding(
		"transfer", clientID, token, address(end), receiver, clienttypes.ZeroHeight(), timeout, "memo", encoding,
	)
	result := p.step(name+": send", end, message)
	packets, err := ibctesting.ParseIBCV2Packets(channelv2.EventTypeSendPacket, result.Events)
	require.NoError(p.t, err)
	return packets[0]
}

func (p *play) relay(name string, from, to *ibctesting.Endpoint, packet channelv2.Packet) {
	require.NoError(p.t, to.UpdateClient())
	proof, height := from.QueryProof(hostv2.PacketCommitmentKey(clientID, packet.Sequence))
	result := p.step(name+": receive", to, channelv2.NewMsgRecvPacket(packet, proof, height, address(to)))
	ack := written(p.t, result)
	require.NoError(p.t, from.UpdateClient())
	proof, height = to.QueryProof(hostv2.PacketAcknowledgementKey(clientID, packet.Sequence))
	p.step(name+": acknowledge", from, channelv2.NewMsgAcknowledgement(packet, ack, proof, height, address(from)))
}

// written is the acknowledgement that a receive left in its events.
func written(t *testing.T, result *abci.ExecTxResult) (ack channelv2.Acknowledgement) {
	t.Helper()
	for _, event := range result.Events {
		for _, attribute := range event.Attributes {
			if attribute.Key == channelv2.AttributeKeyEncodedAckHex {
				data, err := hex.DecodeString(attribute.Value)
				require.NoError(t, err)
				require.NoError(t, ack.Unmarshal(data))
			}
		}
	}
	return ack
}

// state is what IBC v2 keeps in the ibc store at the end.
func (p *play) state(end *ibctesting.Endpoint) row {
	ctx := end.Chain.GetContext()
	iterator := ctx.KVStore(end.Chain.GetSimApp().GetKey(exported.StoreKey)).Iterator(nil, nil)
	defer iterator.Close()
	found := row{}
	for ; iterator.Valid(); iterator.Next() {
		key := string(iterator.Key())
		v1 := strings.HasPrefix(key, "clients/") && !strings.HasSuffix(key, "/counterparty") && !strings.HasSuffix(key, "/config")
		if !v1 && (strings.Contains(key, clientID)) {
			found[text(iterator.Key())] = text(iterator.Value())
		}
	}
	return found
}
