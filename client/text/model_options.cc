#include "client/text/model_options.h"

namespace sotto::client {

Command& ModelOptions::add_to(Command& command, Model required) {
  return add_model_file(command, model, required)
      .option("--device", device, "cpu or cuda:N")
      .option("--precision", precision, "fp32, bf16 or auto")
      .flag("--quantized-base", quantized_base,
            "keep a GGUF file's matrices packed in memory: less memory, more time, the same results")
      .option("--threads", threads, "of one matrix product; 0: the library's choice");
}

Command& add_model_file(Command& command, std::string& model, ModelOptions::Model required) {
  return command.option("--model", model, "a .gguf file or a Hugging Face folder",
                        required == ModelOptions::Model::kRequired);
}

Command& add_chat_template(Command& command, std::string& name) {
  return command.option("--chat-template", name,
                        "a well-known one by name, instead of the model's own: chatml, qwen, llama2, llama3, mistral, gemma "
                        "or zephyr");
}

}  // namespace sotto::client
