// `sotto-coordinator serve`: the loop that owns the socket. Polls the link, decodes messages, hands them to the scheduler
// and sends its answers; takes the operator's commands from the command queue. A site whose connection breaks counts as gone
// after a grace period, so that a short interruption costs nobody a phase. One thread (heavy work runs beside it).
#pragma once

#include <functional>
#include <map>

#include "coordinator/server/folder_writer.h"
#include "wire/link.h"

namespace sotto::coordinator {

class Server {
 public:
  // `folder` and `random` must outlive the server.
  static Result<Server> open(const CoordinatorFolder& folder, RandomSource& random);

  const std::string& endpoint() const { return link_.endpoint(); }
  // Returns when `stop` says so, or with the error that keeps the coordinator from working.
  Result<void> run(const std::function<bool()>& stop);

 private:
  Server(const CoordinatorFolder& folder, std::unique_ptr<FolderWriter> writer, wire::RouterLink link);
  Result<void> take(const wire::Received& received);
  Result<void> take_join(const wire::Received& received, const wire::Join& join);
  Result<void> take_gone();
  Result<void> take_spool();
  void send(const Outbox& out);

  const CoordinatorFolder* folder_;
  std::unique_ptr<FolderWriter> office_;
  wire::RouterLink link_;
  std::map<SiteName, TimePoint> gone_since_;
  TimePoint spool_read_{};
};

}  // namespace sotto::coordinator
