// Command simd10 is ibc-go v10's own test application as a node. The module publishes the application but not
// a command for it, so this file gives it the few commands that a test network needs: init, keys, genesis, start.
package main

import (
	"fmt"
	"io"
	"os"

	"cosmossdk.io/log"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/keys"
	"github.com/cosmos/cosmos-sdk/server"
	svrcmd "github.com/cosmos/cosmos-sdk/server/cmd"
	serverconfig "github.com/cosmos/cosmos-sdk/server/config"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	genutilcli "github.com/cosmos/cosmos-sdk/x/genutil/client/cli"
	"github.com/spf13/cobra"

	cmtcfg "github.com/cometbft/cometbft/config"

	"github.com/cosmos/ibc-go/v10/testing/simapp"
)

func main() {
	if err := svrcmd.Execute(root(), "", simapp.DefaultNodeHome); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// root is the command tree; an application in memory supplies the codecs that the commands share.
func root() *cobra.Command {
	scratch, err := os.MkdirTemp("", "simd10")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(scratch)
	app := simapp.NewSimApp(log.NewNopLogger(), dbm.NewMemDB(), nil, true, simtestutil.NewAppOptionsWithFlagHome(scratch))
	context := client.Context{}.
		WithCodec(app.AppCodec()).
		WithInterfaceRegistry(app.InterfaceRegistry()).
		WithLegacyAmino(app.LegacyAmino()).
		WithTxConfig(app.GetTxConfig()).
		WithInput(os.Stdin).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithHomeDir(simapp.DefaultNodeHome).
		WithViper("")
	command := &cobra.Command{
		Use:               "simd10",
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return prepare(cmd, context) },
	}
	command.AddCommand(
		genutilcli.InitCmd(app.BasicModuleManager, simapp.DefaultNodeHome),
		genutilcli.Commands(app.GetTxConfig(), app.BasicModuleManager, simapp.DefaultNodeHome),
		keys.Commands(),
	)
	server.AddCommands(command, simapp.DefaultNodeHome, create, export, func(*cobra.Command) {})
	return command
}

// prepare reads the flags and the node's files before any command runs.
func prepare(cmd *cobra.Command, context client.Context) error {
	context, err := client.ReadPersistentCommandFlags(context.WithCmdContext(cmd.Context()), cmd.Flags())
	if err != nil {
		return err
	}
	if err := client.SetCmdClientContextHandler(context, cmd); err != nil {
		return err
	}
	settings := serverconfig.DefaultConfig()
	settings.MinGasPrices = "0stake"
	return server.InterceptConfigsPreRunHandler(cmd, serverconfig.DefaultConfigTemplate, settings, cmtcfg.DefaultConfig())
}

func create(logger log.Logger, db dbm.DB, trace io.Writer, options servertypes.AppOptions) servertypes.Application {
	return simapp.NewSimApp(logger, db, trace, true, options, server.DefaultBaseappOptions(options)...)
}

func export(
	log.Logger, dbm.DB, io.Writer, int64, bool, []string, servertypes.AppOptions, []string,
) (servertypes.ExportedApp, error) {
	return servertypes.ExportedApp{}, fmt.Errorf("expected a command of a test network, got export")
}
