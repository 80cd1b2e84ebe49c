// What a hardware wallet and the members of a multisig do, by CosmJS as npm gives it: amino JSON alone.
// Argument and answer as in client.mjs.
import { createRequire } from "node:module";

const need = createRequire(process.argv[2] + "/");
const { coins, Registry } = need("@cosmjs/proto-signing");
const { Secp256k1HdWallet, createMultisigThresholdPubkey, pubkeyToAddress } = need("@cosmjs/amino");
const { stringToPath } = need("@cosmjs/crypto");
const { toBase64 } = need("@cosmjs/encoding");
const sg = need("@cosmjs/stargate");
const { TxRaw } = need("cosmjs-types/cosmos/tx/v1beta1/tx");
const { BinaryWriter } = need("cosmjs-types/binary");
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
const settings = { gasPrice: price, broadcastPollIntervalMs: 300, broadcastTimeoutMs: 30_000 };
const fee = (gas, more = {}) => ({ amount: coins(Math.ceil(gas * price.amount.toFloatApproximation()), task.denom), gas: String(gas), ...more });
const brief = (tx) => ({ code: tx.code, codespace: tx.codespace, hash: tx.transactionHash, gasUsed: tx.gasUsed, log: tx.rawLog, events: tx.events });

// Our own message, as an application would teach it to CosmJS: a codec and an amino converter by its amino name.
const MsgDeposit = {
  encode(message) {
    const writer = BinaryWriter.create();
    if (message.cell) writer.uint32(10).string(message.cell);
    if (message.amount) writer.uint32(18).string(message.amount);
    return writer;
  },
  decode() { throw new Error("never asked"); },
  fromPartial: (message) => message,
};
const depositUrl = "/bsmg.market.v1.MsgDeposit";
const registry = new Registry([...sg.defaultRegistryTypes, [depositUrl, MsgDeposit]]);
const aminoTypes = new sg.AminoTypes({
  ...sg.createDefaultAminoConverters(),
  [depositUrl]: {
    aminoType: "bsmg/market/MsgDeposit",
    toAmino: ({ cell, amount }) => ({ cell, amount }),
    fromAmino: (value) => value,
  },
});

const wallet = await Secp256k1HdWallet.fromMnemonic(task.mnemonic, options);
const [{ address }] = await wallet.getAccounts();
const client = await sg.SigningStargateClient.connectWithSigner(task.rpc, wallet, { ...settings, registry, aminoTypes });
const send = (from, amount, to = address) => ({
  typeUrl: "/cosmos.bank.v1beta1.MsgSend",
  value: { fromAddress: from, toAddress: to, amount: coins(amount, task.denom) },
});
const until = () => Math.floor(Date.now() / 1000) + 600;

await scenario("send", async () => brief(await client.sendTokens(address, address, coins("3", task.denom), "auto", "by <amino> & é \u2713")));
await scenario("twoMessages", async () => brief(await client.signAndBroadcast(address, [send(address, "1"), send(address, "2")], fee(250_000), "")));
await scenario("multiSend", async () => brief(await client.signAndBroadcast(address, [{
  typeUrl: "/cosmos.bank.v1beta1.MsgMultiSend",
  value: { inputs: [{ address, coins: coins("4", task.denom) }], outputs: [{ address, coins: coins("4", task.denom) }] },
}], fee(250_000), "")));
await scenario("timeoutHeight", async () => brief(await client.signAndBroadcast(address, [send(address, "1")], fee(200_000), "", 1_000_000n)));
await scenario("feePayer", async () => brief(await client.signAndBroadcast(address, [send(address, "1")], fee(200_000, { payer: address }), "")));
await scenario("deposit", async () => brief(await client.signAndBroadcast(address, [{ typeUrl: depositUrl, value: { cell: address, amount: "7" } }], fee(250_000), "")));
await scenario("ibcTime", async () => brief(await client.sendIbcTokens(
  address, task.receiver, coins("11", task.denom)[0], "transfer", task.channel, undefined, until(), fee(300_000), "a memo")));
await scenario("ibcHeight", async () => brief(await client.sendIbcTokens(
  address, task.receiver, coins("12", task.denom)[0], "transfer", task.channel,
  { revisionNumber: 1n, revisionHeight: 1_000_000n }, undefined, fee(300_000), "")));
await scenario("ibcMemo", async () => brief(await client.signAndBroadcast(address, [{
  typeUrl: "/ibc.applications.transfer.v1.MsgTransfer",
  value: {
    sourcePort: "transfer", sourceChannel: task.channel, token: coins("13", task.denom)[0], sender: address,
    receiver: task.receiver, timeoutTimestamp: BigInt(until()) * 1_000_000_000n, memo: '{"note":"<>&"}',
  },
}], fee(300_000), "")));
await scenario("wrongSequence", async () => {
  const { accountNumber, sequence } = await client.getSequence(address);
  const signed = await client.sign(address, [send(address, "1")], fee(200_000), "", { accountNumber, sequence: sequence + 3, chainId: await client.getChainId() });
  return client.broadcastTxSync(TxRaw.encode(signed).finish());
});
await scenario("wrongChain", async () => {
  const { accountNumber, sequence } = await client.getSequence(address);
  const signed = await client.sign(address, [send(address, "1")], fee(200_000), "", { accountNumber, sequence, chainId: "other-1" });
  return client.broadcastTxSync(TxRaw.encode(signed).finish());
});

// A 2-of-3, its members signing apart from each other, as `makeMultisignedTx` is documented.
const members = await Promise.all([0, 1, 2].map((i) =>
  Secp256k1HdWallet.fromMnemonic(task.mnemonic, { prefix: "bsmg", hdPaths: [stringToPath(`m/44'/118'/7'/0/${i}`)] })));
const accounts = await Promise.all(members.map(async (member) => (await member.getAccounts())[0]));
const keys = accounts.map(({ pubkey }) => ({ type: "tendermint/PubKeySecp256k1", value: toBase64(pubkey) }));
const shared = createMultisigThresholdPubkey(keys, 2, true);
const sharedAddress = pubkeyToAddress(shared, "bsmg");
answers.sharedAddress = sharedAddress;

async function signedBy(who, messages, { gas = 300_000, memo = "shared", change = (parts) => parts } = {}) {
  const chainId = await client.getChainId();
  const { accountNumber, sequence } = await client.getSequence(sharedAddress);
  const parts = new Map();
  let bodyBytes;
  for (const i of who) {
    const own = await sg.SigningStargateClient.offline(members[i], { registry, aminoTypes });
    const made = await own.sign(accounts[i].address, messages, fee(gas), memo, { accountNumber, sequence, chainId });
    parts.set(accounts[i].address, made.signatures[0]);
    bodyBytes = made.bodyBytes;
  }
  return sg.makeMultisignedTxBytes(shared, sequence, fee(gas), bodyBytes, change(parts));
}

await scenario("fund", async () => brief(await client.sendTokens(address, sharedAddress, coins("50000000", task.denom), fee(200_000), "")));
await scenario("sharedSend", async () => brief(await client.broadcastTx(await signedBy([0, 2], [send(sharedAddress, "21")]))));
await scenario("sharedAll", async () => brief(await client.broadcastTx(await signedBy([0, 1, 2], [send(sharedAddress, "22")]))));
await scenario("sharedIbc", async () => brief(await client.broadcastTx(await signedBy([1, 2], [{
  typeUrl: "/ibc.applications.transfer.v1.MsgTransfer",
  value: {
    sourcePort: "transfer", sourceChannel: task.channel, token: coins("23", task.denom)[0], sender: sharedAddress,
    receiver: task.receiver, timeoutTimestamp: BigInt(until()) * 1_000_000_000n, memo: "",
  },
}]))));
await scenario("sharedAccount", async () => {
  const account = await client.getAccount(sharedAddress);
  return { type: account.pubkey.type, threshold: account.pubkey.value.threshold, keys: account.pubkey.value.pubkeys.length, sequence: account.sequence };
});
await scenario("sharedTooFew", async () => client.broadcastTxSync(await signedBy([1], [send(sharedAddress, "1")])));
await scenario("sharedSpoiled", async () => client.broadcastTxSync(await signedBy([0, 1], [send(sharedAddress, "1")], {
  change: (parts) => new Map([...parts].map(([who, bytes], i) => [who, i ? bytes : bytes.map((byte, at) => (at === 9 ? byte ^ 1 : byte))])),
})));
await scenario("sharedSwapped", async () => client.broadcastTxSync(await signedBy([0, 1], [send(sharedAddress, "1")], {
  change: (parts) => { const [[a, x], [b, y]] = parts; return new Map([[a, y], [b, x]]); },
})));

client.disconnect();
console.log(JSON.stringify(answers, (_, value) => (typeof value === "bigint" ? String(value) : value)));
