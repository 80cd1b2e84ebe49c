package ibcgo

import (
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	clienttypes "github.com/cosmos/ibc-go/v10/modules/core/02-client/types"
	clientv2 "github.com/cosmos/ibc-go/v10/modules/core/02-client/v2/types"
	channelv2 "github.com/cosmos/ibc-go/v10/modules/core/04-channel/v2/types"
	ibctesting "github.com/cosmos/ibc-go/v10/testing"
)

type checked interface {
	sdk.HasValidateBasic
	proto.Message
}

// stateless lists messages with what ValidateBasic says of them.
func stateless(t *testing.T) (found []row) {
	t.Helper()
	add := func(name string, one checked) {
		found = append(found, row{
			"name": name, "type": proto.MessageName(one), "message": text(bytesOf(t, one)), "code": code(one.ValidateBasic()),
		})
	}
	for _, made := range payloadChanges() {
		add("send: "+made.name, channelv2.NewMsgSendPacket(clientID, 100, signer, made.payloads...))
		add("receive: "+made.name, receive(channelv2.NewPacket(1, clientID, clientID, 100, made.payloads...)))
	}
	add("send: no timeout", channelv2.NewMsgSendPacket(clientID, 0, signer, good()))
	add("send: no client", channelv2.NewMsgSendPacket("", 100, signer, good()))
	add("send: bad client", channelv2.NewMsgSendPacket("a/b/c/d", 100, signer, good()))
	for name, packet := range packetChanges() {
		add("receive: "+name, receive(packet))
		add("timeout: "+name, channelv2.NewMsgTimeout(packet, []byte("p"), proofHeight, signer))
		add("acknowledge: "+name, channelv2.NewMsgAcknowledgement(packet, channelv2.NewAcknowledgement([]byte("a")), []byte("p"), proofHeight, signer))
	}
	packet := channelv2.NewPacket(1, clientID, clientID, 100, good())
	add("receive: no proof", channelv2.NewMsgRecvPacket(packet, nil, proofHeight, signer))
	add("timeout: no proof", channelv2.NewMsgTimeout(packet, nil, proofHeight, signer))
	add("acknowledge: no proof", channelv2.NewMsgAcknowledgement(packet, channelv2.NewAcknowledgement([]byte("a")), nil, proofHeight, signer))
	for name, acks := range map[string][][]byte{"none": {}, "empty": {{}}, "two": {{1}, {2}}} {
		add("acknowledge: "+name, channelv2.NewMsgAcknowledgement(packet, channelv2.NewAcknowledgement(acks...), []byte("p"), proofHeight, signer))
	}
	prefix := [][]byte{[]byte("ibc"), {}}
	add("register: good", clientv2.NewMsgRegisterCounterparty(clientID, prefix, clientID, signer))
	add("register: no prefix", clientv2.NewMsgRegisterCounterparty(clientID, nil, clientID, signer))
	for _, id := range []string{"", "abc", "abcd", "abcd-", "-1", "ab-1", "a-b-1", "07-tendermint-18446744073709551616", "a/b-1", "\u00e9bcd-1", strings.Repeat("a", 63) + "-1"} {
		add("register: "+id, clientv2.NewMsgRegisterCounterparty(id, prefix, clientID, signer))
		add("register facing: "+id, clientv2.NewMsgRegisterCounterparty(clientID, prefix, id, signer))
		add("config: "+id, clientv2.NewMsgUpdateClientConfig(id, signer, clientv2.DefaultConfig()))
	}
	sort.Slice(found, func(i, j int) bool { return found[i]["name"].(string) < found[j]["name"].(string) })
	return found
}

var proofHeight = clienttypes.NewHeight(1, 10)

func receive(packet channelv2.Packet) *channelv2.MsgRecvPacket {
	return channelv2.NewMsgRecvPacket(packet, []byte("p"), proofHeight, signer)
}

type change struct {
	name     string
	payloads []channelv2.Payload
}

func payloadChanges() []change {
	one := func(name string, act func(*channelv2.Payload)) change {
		made := good()
		act(&made)
		return change{name, []channelv2.Payload{made}}
	}
	return []change{
		{"no payload", nil},
		{"two payloads", []channelv2.Payload{good(), good()}},
		one("good", func(*channelv2.Payload) {}),
		one("no value", func(p *channelv2.Payload) { p.Value = nil }),
		one("no version", func(p *channelv2.Payload) { p.Version = " " }),
		one("no encoding", func(p *channelv2.Payload) { p.Encoding = "" }),
		one("no source port", func(p *channelv2.Payload) { p.SourcePort = "" }),
		one("bad destination port", func(p *channelv2.Payload) { p.DestinationPort = "a/b" }),
	}
}

func packetChanges() map[string]channelv2.Packet {
	return map[string]channelv2.Packet{
		"no sequence":        channelv2.NewPacket(0, clientID, clientID, 100, good()),
		"no timeout":         channelv2.NewPacket(1, clientID, clientID, 0, good()),
		"no source":          channelv2.NewPacket(1, "", clientID, 100, good()),
		"short destination":  channelv2.NewPacket(1, clientID, "abcd-1", 100, good()),
		"bad destination":    channelv2.NewPacket(1, clientID, "07/tendermint", 100, good()),
		"everything is gone": {},
	}
}

// stateful lists what two chains say of messages that are well formed.
func stateful(t *testing.T) (found []row) {
	t.Helper()
	add := func(name string, err error) {
		refusal := ""
		if err != nil {
			refusal, _, _ = strings.Cut(err.Error(), ":")
		}
		found = append(found, row{"name": name, "code": refusal})
	}
	coordinator := ibctesting.NewCoordinator(t, 2)
	path := ibctesting.NewPath(coordinator.GetChain(ibctesting.GetChainID(1)), coordinator.GetChain(ibctesting.GetChainID(2)))
	path.SetupClients()
	a, b := path.EndpointA, path.EndpointB
	send := func(seconds int64, client string, changed channelv2.Payload) error {
		at := uint64(a.Chain.GetContext().BlockTime().Unix() + seconds)
		_, err := a.Chain.SendMsgs(channelv2.NewMsgSendPacket(client, at, a.Chain.SenderAccount.GetAddress().String(), changed))
		return err
	}
	payloads := func(version, encoding, value string) channelv2.Payload {
		return payload("transfer", version, encoding, value)
	}
	sender := a.Chain.SenderAccount.GetAddress().String()
	data := func(denom, amount, from, to string) string {
		return `{"amount":"` + amount + `","denom":"` + denom + `","receiver":"` + to + `","sender":"` + from + `"}`
	}
	fine := payloads("ics20-1", "application/json", data("stake", "5", sender, "bob"))
	add("send: no counterparty", send(100, clientID, fine))
	add("send: no client", send(100, "07-tendermint-9", fine))
	register := func(chain *ibctesting.TestChain, client string) error {
		_, err := chain.SendMsgs(clientv2.NewMsgRegisterCounterparty(client, ibctesting.MerklePath.KeyPath, clientID, chain.SenderAccount.GetAddress().String()))
		return err
	}
	add("register: no client", register(a.Chain, "07-tendermint-9"))
	add("register: good", register(a.Chain, clientID))
	add("register: again", register(a.Chain, clientID))
	require.NoError(t, register(b.Chain, clientID))
	add("delete creator: none", deleteCreator(a, "07-tendermint-9"))
	add("delete creator: good", deleteCreator(a, clientID))
	add("delete creator: again", deleteCreator(a, clientID))
	add("config: without creator", updateConfig(a))
	add("send: in the past", send(-100, clientID, fine))
	add("send: a day and a minute", send(24*3600+60, clientID, fine))
	add("send: unknown encoding", send(100, clientID, payloads("ics20-1", "text/plain", "x")))
	add("send: unknown version", send(100, clientID, payloads("ics20-2", "application/json", "x")))
	add("send: no json", send(100, clientID, payloads("ics20-1", "application/json", "x")))
	add("send: no protobuf", send(100, clientID, payloads("ics20-1", "application/x-protobuf", "x")))
	add("send: no abi", send(100, clientID, payloads("ics20-1", "application/x-solidity-abi", "x")))
	add("send: another's", send(100, clientID, payloads("ics20-1", "application/json", data("stake", "5", signer, "bob"))))
	add("send: slash in base", send(100, clientID, payloads("ics20-1", "application/json", data("a/b", "5", sender, "bob"))))
	add("send: zero", send(100, clientID, payloads("ics20-1", "application/json", data("stake", "0", sender, "bob"))))
	add("send: too much", send(100, clientID, payloads("ics20-1", "application/json", data("stake", strings.Repeat("9", 60), sender, "bob"))))
	add("send: no receiver", send(100, clientID, payloads("ics20-1", "application/json", data("stake", "5", sender, " "))))
	other := fine
	other.DestinationPort = "mockV2A"
	add("send: another port there", send(100, clientID, other))
	found = append(found, packetRefusals(t, a, b, fine)...)
	return found
}

func deleteCreator(end *ibctesting.Endpoint, client string) error {
	_, err := end.Chain.SendMsgs(&clienttypes.MsgDeleteClientCreator{ClientId: client, Signer: end.Chain.SenderAccount.GetAddress().String()})
	return err
}

func updateConfig(end *ibctesting.Endpoint) error {
	_, err := end.Chain.SendMsgs(clientv2.NewMsgUpdateClientConfig(clientID, end.Chain.SenderAccount.GetAddress().String(), clientv2.DefaultConfig()))
	return err
}

func packetRefusals(t *testing.T, a, b *ibctesting.Endpoint, fine channelv2.Payload) (found []row) {
	t.Helper()
	add := func(name string, err error) {
		refusal := ""
		if err != nil {
			refusal, _, _ = strings.Cut(err.Error(), ":")
		}
		found = append(found, row{"name": name, "code": refusal})
	}
	require.NoError(t, b.UpdateClient())
	require.NoError(t, a.UpdateClient())
	at := uint64(a.Chain.GetContext().BlockTime().Add(time.Hour).Unix())
	packet, err := a.MsgSendPacket(at, fine)
	require.NoError(t, err)
	add("timeout: too early", a.MsgTimeoutPacket(packet))
	changed := packet
	changed.SourceClient = "07-tendermint-1"
	add("receive: from another client", b.MsgRecvPacket(changed))
	changed = packet
	changed.Sequence = 9
	add("receive: never sent", b.MsgRecvPacket(changed))
	ack := channelv2.NewAcknowledgement([]byte(`{"result":"AQ=="}`))
	add("acknowledge: not received", a.MsgAcknowledgePacket(packet, ack))
	add("acknowledge: never sent", a.MsgAcknowledgePacket(changed, ack))
	changed = packet
	changed.DestinationClient = "07-tendermint-1"
	add("acknowledge: to another client", a.MsgAcknowledgePacket(changed, ack))
	changed = packet
	changed.TimeoutTimestamp++
	add("acknowledge: another packet", a.MsgAcknowledgePacket(changed, ack))
	add("receive: good", b.MsgRecvPacket(packet))
	add("receive: again", b.MsgRecvPacket(packet))
	sentinel := channelv2.NewAcknowledgement(channelv2.ErrorAcknowledgement[:])
	require.Equal(t, channelv2.CommitAcknowledgement(sentinel), b.Chain.App.GetIBCKeeper().ChannelKeeperV2.GetPacketAcknowledgement(b.Chain.GetContext(), clientID, 1))
	add("acknowledge: another answer", a.MsgAcknowledgePacket(packet, ack))
	add("acknowledge: good", a.MsgAcknowledgePacket(packet, sentinel))
	add("acknowledge: again", a.MsgAcknowledgePacket(packet, sentinel))
	late, err := a.MsgSendPacket(at, fine)
	require.NoError(t, err)
	a.Chain.Coordinator.IncrementTimeBy(2 * time.Hour)
	a.Chain.Coordinator.CommitBlock(a.Chain, b.Chain)
	require.NoError(t, a.UpdateClient())
	require.NoError(t, b.UpdateClient())
	add("receive: late", b.MsgRecvPacket(late))
	add("receive: late and again", b.MsgRecvPacket(packet))
	add("timeout: good", a.MsgTimeoutPacket(late))
	add("timeout: again", a.MsgTimeoutPacket(late))
	add("timeout: received", a.MsgTimeoutPacket(packet))
	return found
}
