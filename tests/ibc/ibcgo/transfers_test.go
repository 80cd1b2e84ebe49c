package ibcgo

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdkmath "cosmossdk.io/math"

	transfer "github.com/cosmos/ibc-go/v10/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v10/modules/core/02-client/types"
	ibctesting "github.com/cosmos/ibc-go/v10/testing"
)

// variant is one way to write a MsgTransfer.
type variant struct {
	name string
	act  func(*transfer.MsgTransfer)
}

func variants() []variant {
	amount := func(number sdkmath.Int) func(*transfer.MsgTransfer) {
		return func(m *transfer.MsgTransfer) { m.Token.Amount = number }
	}
	denom := func(name string) func(*transfer.MsgTransfer) {
		return func(m *transfer.MsgTransfer) { m.Token.Denom = name }
	}
	return []variant{
		{"good", func(*transfer.MsgTransfer) {}},
		{"zero", amount(sdkmath.ZeroInt())},
		{"negative", amount(sdkmath.NewInt(-5))},
		{"too much", amount(sdkmath.NewIntFromUint64(1 << 63).MulRaw(1 << 62))},
		{"denom is the prefix", denom("ibc")},
		{"denom hash is no hash", denom("ibc/xyz")},
		{"denom hash is short", denom("ibc/" + strings.Repeat("A", 62))},
		{"denom trace not found", denom("ibc/" + strings.Repeat("A", 64))},
		{"denom too short", denom("b")},
		{"denom with a space", denom("b mga")},
		{"denom nobody holds", denom("nothing")},
		{"denom with slashes that nobody holds", denom("a/b/c")},
		{"no receiver", func(m *transfer.MsgTransfer) { m.Receiver = " " }},
		{"receiver too long", func(m *transfer.MsgTransfer) { m.Receiver = strings.Repeat("r", 2049) }},
		{"memo too long", func(m *transfer.MsgTransfer) { m.Memo = strings.Repeat("m", 32769) }},
		{"channel that is not there", func(m *transfer.MsgTransfer) { m.SourceChannel = "channel-9" }},
		{"bad channel", func(m *transfer.MsgTransfer) { m.SourceChannel = "c" }},
		{"no channel", func(m *transfer.MsgTransfer) { m.SourceChannel = "" }},
		{"client that is not there", func(m *transfer.MsgTransfer) { m.SourceChannel = "07-tendermint-9" }},
		{"bad port", func(m *transfer.MsgTransfer) { m.SourcePort = "p" }},
		{"another port", func(m *transfer.MsgTransfer) { m.SourcePort = "mock" }},
		{"no timeout", func(m *transfer.MsgTransfer) { m.TimeoutTimestamp = 0 }},
		{"timeout in the past", func(m *transfer.MsgTransfer) { m.TimeoutTimestamp = 1 }},
		{"timeout height too", func(m *transfer.MsgTransfer) { m.TimeoutHeight = clienttypes.NewHeight(1, 1_000_000) }},
		{"timeout height in the past", func(m *transfer.MsgTransfer) { m.TimeoutHeight = clienttypes.NewHeight(1, 1) }},
		{"unknown encoding", func(m *transfer.MsgTransfer) { m.Encoding = "text/plain" }},
		{"the greatest timeout", func(m *transfer.MsgTransfer) { m.TimeoutTimestamp = 1<<64 - 1 }},
		{"a timeout of 2^63", func(m *transfer.MsgTransfer) { m.TimeoutTimestamp = 1 << 63 }},
	}
}

// transfers lists what each variant comes to through a channel ("v1") and through a client ("v2").
func transfers(t *testing.T) row {
	t.Helper()
	coordinator := ibctesting.NewCoordinator(t, 2)
	path := ibctesting.NewTransferPath(coordinator.GetChain(ibctesting.GetChainID(1)), coordinator.GetChain(ibctesting.GetChainID(2)))
	path.Setup()
	require.NoError(t, path.EndpointA.RegisterCounterparty())
	require.NoError(t, path.EndpointB.RegisterCounterparty())
	return row{"v1": through(t, path.EndpointA, path.EndpointA.ChannelID), "v2": through(t, path.EndpointA, clientID)}
}

func through(t *testing.T, end *ibctesting.Endpoint, place string) row {
	t.Helper()
	found := row{}
	for _, one := range variants() {
		require.NoError(t, end.UpdateClient())
		at := end.Chain.GetContext().BlockTime().Add(time.Hour)
		timeout := uint64(at.UnixNano())
		if place == clientID {
			timeout = uint64(at.Unix())
		}
		message := transfer.NewMsgTransfer("transfer", place, coin("stake", 5), address(end), "bob", clienttypes.ZeroHeight(), timeout, "")
		one.act(message)
		_, err := end.Chain.SendMsgs(message)
		refusal := ""
		if err != nil {
			refusal, _, _ = strings.Cut(err.Error(), ":")
		}
		found[one.name] = refusal
		// what is refused before the ante handlers counts no sequence, and ibctesting counts one all the same
		account := end.Chain.SenderAccount
		kept := end.Chain.GetSimApp().AccountKeeper.GetAccount(end.Chain.GetContext(), account.GetAddress())
		require.NoError(t, account.SetSequence(kept.GetSequence()))
	}
	return found
}
