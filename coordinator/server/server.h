// `sotto-coordinator serve`: the loop that owns the socket. Polls the link, decodes messages, hands them to the scheduler
// and sends its answers; takes the operator's commands from the command queue. A site whose connection breaks counts as gone
// after a grace period, so that a short interruption costs nobody a phase. One thread (heavy work runs beside it).
//
// What the machine refuses (no space, no descriptor, no memory, no thread) ends nothing. The log waits for space where it
// stands (RunLog::append). Any other error of the folder has the server drop what it holds in memory and open the folder
// anew, as a restart would, as often as it takes; sites reconnect and are asked again.
#pragma once

#include <functional>
#include <map>

#include "coordinator/server/folder_writer.h"
#include "coordinator/server/quota.h"
#include "wire/link.h"

namespace sotto::coordinator {

class Server {
 public:
  // `folder` and `random` must outlive the server.
  static Result<Server> open(const CoordinatorFolder& folder, RandomSource& random);

  const std::string& endpoint() const { return link_.endpoint(); }
  // Returns when `stop` says so.
  Result<void> run(const std::function<bool()>& stop);
  wire::Acceptor::Counts connections() const { return link_.connections(); }

 private:
  Server(const CoordinatorFolder& folder, RandomSource& random, std::unique_ptr<FolderWriter> writer, wire::RouterLink link);
  Result<void> step();
  Result<void> guarded_step();
  void recover(const Error& error, const std::function<bool()>& stop);
  bool wants(const SiteName& peer, ByteSpan first_bytes, std::uint64_t size);
  void refuse_version(const wire::Received& received);
  void say(const char* event, const std::string& site, const std::string& reason);
  Result<void> take(const wire::Received& received);
  Result<void> take(const Site& site, const wire::ToCoordinator& message);
  Result<void> take_late_hellos();
  Result<void> take_join(const wire::Received& received, const wire::Join& join);
  Result<void> take_gone();
  Result<void> take_spool();
  void send(const Outbox& out);

  const CoordinatorFolder* folder_;
  RandomSource* random_;
  std::unique_ptr<FolderWriter> office_;
  wire::RouterLink link_;
  std::map<SiteName, TimePoint> gone_since_;
  TimePoint spool_read_{};
  Quota strangers_{{20, 2}};     // answers to all strangers together
  Quota versions_{{1, 0.1}};     // of one key: being told that its version is another one
  Quota unapproved_{{20, 1}};    // messages of a site that nobody approved
  Quota messages_{{2000, 500}};  // of an approved site
  Quota hellos_{{4, 0.5}};       // of one site; what is too early is answered later, the newest alone
  Quota records_{{20, 0.1}};     // of one site: the log of a run that is over
  std::map<SiteName, wire::ToCoordinator> late_hellos_;
  Sampler sampler_;
};

}  // namespace sotto::coordinator
