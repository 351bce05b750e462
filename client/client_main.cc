// sotto-client: the program of the engineer at a data-owning site.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/program/cli.h"
#include "base/version.h"
#include "client/data_commands.h"
#include "client/federation/site_commands.h"
#include "client/measure/measure_commands.h"
#include "client/registry/adapter_commands.h"
#include "client/registry/model_commands.h"
#include "client/search/search_command.h"
#include "client/serving/monitor.h"
#include "client/serving/serving_commands.h"
#include "client/training/training_commands.h"

namespace {

using namespace sotto;
using namespace sotto::client;

struct Options {
  DataCommand data;
  SiteOptions site;
  TrainingOptions training;
  TuneRequest tune;
  MeasureOptions measure;
  TextOptions text;
  AdapterOptions adapter;
  ModelCommand model;
  ServeCommand serve;
  MonitorCommand monitor;
};

// Several sites may share the cores of one machine: threads that spin for long while they wait would starve the others;
// those that sleep at once take longer to wake than a short product takes. The OpenMP runtime reads its environment before
// main, so the program starts itself once more with it; under its own path, so that lists of processes show its name.
void start_again_with_quiet_threads(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT")) return;
  ::setenv("GOMP_SPINCOUNT", "10000", 0);
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  std::error_code unknown;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (!unknown) ::execv(self.c_str(), argv);
  // The file was replaced while this ran, or /proc is not there: it goes on as it is.
}

bool asks_for_version(int argc, char** argv) { return argc == 2 && std::strcmp(argv[1], "--version") == 0; }

}  // namespace

int main(int argc, char** argv) {
  if (!asks_for_version(argc, argv)) start_again_with_quiet_threads(argv);
  Options options;
  Cli cli("sotto-client", std::string(sotto::version()) + " (" + std::string(sotto::commit()) + ")",
          "Sotto: a data-owning site of federated, private fine-tuning");
  add_data_commands(cli.root(), options.data);
  add_site_commands(cli.root(), options.site);
  add_training_commands(cli.root(), options.training);
  add_search_command(cli.root(), options.tune);
  add_measure_commands(cli.root(), options.measure);
  add_text_commands(cli.root(), options.text);
  add_adapter_commands(cli.root(), options.adapter);
  add_model_registry_commands(cli.root(), options.model);
  add_serve_command(cli.root(), options.serve);
  add_monitor_commands(cli.root(), options.monitor);
  return cli.run(argc, argv);
}
