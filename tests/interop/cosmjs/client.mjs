// What a wallet does, by CosmJS as npm gives it. Argument: a JSON object; answer: one JSON object on stdout, a scenario a key.
// A scenario that throws is {error, name}; what is right is decided by the Python test.
import { createRequire } from "node:module";

const need = createRequire(process.argv[2] + "/");
const { DirectSecp256k1HdWallet, coins } = need("@cosmjs/proto-signing");
const { Secp256k1HdWallet } = need("@cosmjs/amino");
const { stringToPath } = need("@cosmjs/crypto");
const sg = need("@cosmjs/stargate");
const { connectComet, Comet38Client } = need("@cosmjs/tendermint-rpc");
const task = JSON.parse(process.argv[3]);
const options = { prefix: "bsmg", hdPaths: [stringToPath("m/44'/118'/0'/0/0")] };
const answers = {};

async function scenario(name, run) {
  try {
    answers[name] = (await run()) ?? null;
  } catch (error) {
    answers[name] = { error: String(error.message).slice(0, 600), name: error.constructor.name };
  }
}

const price = sg.GasPrice.fromString(task.gasPrice);
const from = await DirectSecp256k1HdWallet.fromMnemonic(task.mnemonic, options);
const aminoFrom = await Secp256k1HdWallet.fromMnemonic(task.mnemonic, options);
const [{ address }] = await from.getAccounts();
const fresh = await DirectSecp256k1HdWallet.generate(12, options);
const [{ address: other }] = await fresh.getAccounts();
const settings = { gasPrice: price, broadcastPollIntervalMs: 300, broadcastTimeoutMs: 30_000 };
const client = await sg.SigningStargateClient.connectWithSigner(task.rpc, from, settings);
const amino = await sg.SigningStargateClient.connectWithSigner(task.rpc, aminoFrom, settings);
const poor = await sg.SigningStargateClient.connectWithSigner(task.rpc, fresh, settings);
const send = (amount, to = other) => ({
  typeUrl: "/cosmos.bank.v1beta1.MsgSend",
  value: { fromAddress: address, toAddress: to, amount: coins(amount, task.denom) },
});
const fee = (gas) => ({ amount: coins(Math.ceil(gas * price.amount.toFloatApproximation()), task.denom), gas: String(gas) });
const brief = (tx) => ({
  code: tx.code, height: tx.height, hash: tx.transactionHash ?? tx.hash, gasUsed: tx.gasUsed, gasWanted: tx.gasWanted,
  events: tx.events, responses: tx.msgResponses, log: tx.rawLog,
});

await scenario("chainId", () => client.getChainId());
await scenario("height", () => client.getHeight());
await scenario("balance", () => client.getBalance(address, task.denom));
await scenario("balances", () => client.getAllBalances(address));
await scenario("account", () => client.getAccount(address));
await scenario("noAccount", () => client.getAccount(other));
await scenario("noSequence", () => client.getSequence(other));
await scenario("sequence", () => client.getSequence(address));
await scenario("staked", () => client.getBalanceStaked(address));
await scenario("block", async () => (await client.getBlock(2)).header);
await scenario("simulate", () => client.simulate(address, [send("100")], "a memo"));
await scenario("sendAuto", async () => brief(await client.sendTokens(address, other, coins("5000000", task.denom), "auto", "é")));
await scenario("freshBalance", () => poor.getBalance(other, task.denom));
await scenario("batch", async () => brief(await client.signAndBroadcast(address, [send("1"), send("2")], fee(200_000))));
await scenario("amino", async () => brief(await amino.sendTokens(address, other, coins("3", task.denom), fee(200_000), "by amino <&>")));
await scenario("aminoSimulate", () => amino.simulate(address, [send("3")], ""));
await scenario("spendBack", async () => brief(await poor.sendTokens(other, address, coins("1", task.denom), fee(100_000))));
await scenario("insufficient", async () => brief(await poor.sendTokens(other, address, coins("9000000000", task.denom), fee(100_000))));
await scenario("insufficientAuto", async () => brief(await poor.sendTokens(other, address, coins("9000000000", task.denom), "auto")));
await scenario("lowFee", () => client.sendTokens(address, other, coins("1", task.denom), { amount: coins("1", task.denom), gas: "100000" }));
await scenario("lowGas", async () => brief(await client.sendTokens(address, other, coins("1", task.denom), fee(5_000))));
await scenario("lowGasRun", async () => brief(await client.sendTokens(address, other, coins("1", task.denom), fee(25_000))));
await scenario("wrongSequence", async () => {
  const { accountNumber, sequence } = await client.getSequence(address);
  const signed = { accountNumber, sequence: sequence + 7, chainId: await client.getChainId() };
  return send_raw(await client.sign(address, [send("1")], fee(100_000), "", signed));
});
await scenario("wrongChain", async () => {
  const { accountNumber, sequence } = await client.getSequence(address);
  return send_raw(await client.sign(address, [send("1")], fee(100_000), "", { accountNumber, sequence, chainId: "other-1" }));
});
await scenario("unknownMessage", async () => brief(await client.delegateTokens(address, task.validator, coins("1", task.denom)[0], fee(200_000))));
await scenario("badAddress", async () => brief(await client.sendTokens(address, "cosmos1x", coins("1", task.denom), fee(100_000))));
await scenario("rubbish", async () => client.broadcastTxSync(new Uint8Array([1, 2, 3])));
await scenario("longMemo", async () => brief(await client.sendTokens(address, other, coins("1", task.denom), fee(200_000), "x".repeat(600))));
await scenario("again", async () => {
  const { TxRaw } = need("cosmjs-types/cosmos/tx/v1beta1/tx");
  const bytes = TxRaw.encode(await client.sign(address, [send("1")], fee(100_000), "twice")).finish();
  const first = brief(await client.broadcastTx(bytes));
  try {
    await client.broadcastTxSync(bytes);
  } catch (error) {
    return { first, second: String(error.message) };
  }
  return { first, second: "taken" };
});
await scenario("timeout", async () => {
  const { TxRaw } = need("cosmjs-types/cosmos/tx/v1beta1/tx");
  const bytes = TxRaw.encode(await client.sign(address, [send("1")], fee(100_000), "")).finish();
  try {
    return brief(await client.broadcastTx(bytes, 1, 1)); // gives up before any block can come
  } catch (error) {
    while ((await client.getTx(error.txId)) === null); // until it is in a block, so that the next sequence is right
    return { name: error.constructor.name, txId: error.txId };
  }
});
await scenario("timeoutHeight", async () =>
  brief(await client.signAndBroadcast(address, [send("1")], fee(100_000), "", 1n)));
async function send_raw(signed) {
  const { TxRaw } = need("cosmjs-types/cosmos/tx/v1beta1/tx");
  return client.broadcastTxSync(TxRaw.encode(signed).finish());
}

const sent = answers.sendAuto;
await scenario("getTx", async () => brief(await client.getTx(sent.hash)));
await scenario("getNoTx", () => client.getTx("00".repeat(32)));
await scenario("searchHeight", async () => (await client.searchTx(`tx.height=${sent.height}`)).map((tx) => tx.hash));
await scenario("searchHash", async () => (await client.searchTx(`tx.hash='${sent.hash}'`)).map((tx) => tx.hash));
await scenario("searchTags", async () => (await client.searchTx([{ key: "transfer.recipient", value: other }])).length);
await scenario("searchSender", async () =>
  (await client.searchTx([{ key: "message.sender", value: address }, { key: "message.module", value: "bank" }])).length);
await scenario("searchAction", async () =>
  (await client.searchTx([{ key: "message.action", value: "/cosmos.bank.v1beta1.MsgSend" }, { key: "message.sender", value: other }])).length);
await scenario("searchRange", async () => (await client.searchTx(`tx.height>=${sent.height} AND transfer.sender='${other}'`)).length);

const comet = await connectComet(task.rpc);
const query = sg.QueryClient.withExtensions(
  comet, sg.setupBankExtension, sg.setupAuthExtension, sg.setupIbcExtension, sg.setupTxExtension, sg.setupStakingExtension,
);
await scenario("comet", () => comet instanceof Comet38Client);
await scenario("totalSupply", () => query.bank.totalSupply());
await scenario("supplyOf", () => query.bank.supplyOf(task.denom));
await scenario("denomMetadata", () => query.bank.denomMetadata(task.denom));
await scenario("denomsMetadata", () => query.bank.denomsMetadata());
await scenario("bankAll", () => query.bank.allBalances(address));
await scenario("authAccount", () => query.auth.account(address));
await scenario("stakingParams", () => query.staking.params());
await scenario("txGetTx", async () => (await query.tx.getTx(sent.hash)).txResponse);
await scenario("bankParams", async () => {
  const q = need("cosmjs-types/cosmos/bank/v1beta1/query");
  const rpc = sg.createProtobufRpcClient(query);
  return new q.QueryClientImpl(rpc).params({});
});
await scenario("authParams", async () => {
  const q = need("cosmjs-types/cosmos/auth/v1beta1/query");
  return new q.QueryClientImpl(sg.createProtobufRpcClient(query)).params({});
});
await scenario("verified", async () => {
  const found = await query.queryStoreVerified?.("ibc", new TextEncoder().encode(task.ibcKey));
  return found && { length: found.value.length };
});
await scenario("rawProof", async () => {
  const { height, proof, value } = await query.queryRawProof("ibc", new TextEncoder().encode(task.ibcKey));
  return { height, ops: proof.ops.map((op) => op.type), length: value.length };
});
await scenario("unserved", () => query.queryAbci("/cosmos.gov.v1.Query/Proposals", new Uint8Array()));

if (task.channel) await ibc();
client.disconnect();
console.log(JSON.stringify(answers, (_, value) =>
  typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value));

async function ibc() {
  const { ibc } = query, ch = task.channel;
  await scenario("ibcSend", async () => {
    const seconds = Math.floor(Date.now() / 1000) + 600;
    return brief(await client.sendIbcTokens(
      address, task.receiver, coins("777", task.denom)[0], "transfer", ch, undefined, seconds, "auto", "a memo"));
  });
  await scenario("ibcSendHeight", async () => brief(await client.sendIbcTokens(
    address, task.receiver, coins("778", task.denom)[0], "transfer", ch, { revisionNumber: 1n, revisionHeight: 1_000_000n },
    undefined, fee(300_000))));
  await scenario("ibcSendNoChannel", async () => brief(await client.sendIbcTokens(
    address, task.receiver, coins("1", task.denom)[0], "transfer", "channel-77", undefined, 2_000_000_000, fee(300_000))));
  const client0 = "07-tendermint-0", connection0 = "connection-0";
  const calls = {
    channel: () => ibc.channel.channel("transfer", ch),
    allChannels: () => ibc.channel.allChannels(),
    connectionChannels: () => ibc.channel.allConnectionChannels(connection0),
    channelClientState: () => ibc.channel.clientState("transfer", ch),
    packetCommitment: () => ibc.channel.packetCommitment("transfer", ch, 1),
    noPacketCommitment: () => ibc.channel.packetCommitment("transfer", ch, 9999),
    allPacketCommitments: () => ibc.channel.allPacketCommitments("transfer", ch),
    packetReceipt: () => ibc.channel.packetReceipt("transfer", ch, 1),
    packetAcknowledgement: () => ibc.channel.packetAcknowledgement("transfer", ch, 1),
    allPacketAcknowledgements: () => ibc.channel.allPacketAcknowledgements("transfer", ch),
    unreceivedPackets: () => ibc.channel.unreceivedPackets("transfer", ch, [1, 9999]),
    unreceivedAcks: () => ibc.channel.unreceivedAcks("transfer", ch, [1, 9999]),
    nextSequenceReceive: () => ibc.channel.nextSequenceReceive("transfer", ch),
    clientState: () => ibc.client.state(client0),
    clientStateTm: () => ibc.client.stateTm(client0),
    allStates: () => ibc.client.allStates(),
    allStatesTm: () => ibc.client.allStatesTm(),
    consensusStates: () => ibc.client.allConsensusStates(client0),
    consensusStateLatest: () => ibc.client.consensusState(client0),
    consensusStateTm: () => ibc.client.consensusStateTm(client0),
    clientParams: () => ibc.client.params(),
    connection: () => ibc.connection.connection(connection0),
    noConnection: () => ibc.connection.connection("connection-99"),
    allConnections: () => ibc.connection.allConnections(),
    clientConnections: () => ibc.connection.clientConnections(client0),
    connectionClientState: () => ibc.connection.clientState(connection0),
    transferParams: () => ibc.transfer.params(),
    denoms: () => ibc.transfer.allDenomTraces(),
    noDenom: () => ibc.transfer.denomTrace("00".repeat(32)),
  };
  for (const [name, call] of Object.entries(calls)) await scenario(`ibc.${name}`, call);
  const { proofHeight } = answers["ibc.clientState"] ?? {};
  const latest = await ibc.client.stateTm(client0).then((state) => state.latestHeight);
  await scenario("ibc.channelConsensusState", () =>
    ibc.channel.consensusState("transfer", ch, Number(latest.revisionNumber), Number(latest.revisionHeight)));
  await scenario("ibc.connectionConsensusState", () =>
    ibc.connection.consensusState(connection0, Number(latest.revisionNumber), Number(latest.revisionHeight)));
  await scenario("ibc.consensusStateAt", () => ibc.client.consensusStateTm(client0, latest));
  void proofHeight;
}
