// The command lines of a site in a consortium: doctor, fingerprint, join, run, approve, refuse, status, budget, migrate.
#pragma once

#include "base/program/cli.h"
#include "client/federation/budget.h"
#include "client/federation/enrol.h"
#include "client/federation/migrate.h"
#include "client/federation/operator_commands.h"

namespace sotto::client {

struct SiteOptions {
  std::string folder = "site";
  JoinRequest join;
  DecisionRequest decision;
  BudgetQuery budget;
  MigrateRequest migrate;
  std::string doctor_config;
  std::string model;  // fingerprint
  bool exit_when_finished = false;
  bool json = false;
};

// `options` outlives the program's run.
void add_site_commands(Command& root, SiteOptions& options);

}  // namespace sotto::client
