"""The three programs as a user meets them: versions, what they link, and one clear line for every wrong use."""
import json
import re
import shutil
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from fixture import BIN, MODEL, SOURCE, Small, wait_until

ADAPTER = SOURCE / "tests/vectors/gguf_export/adapter"
GGUF = SOURCE / "tests/vectors/gguf_export/model_f16.gguf"
PROGRAMS = ["sotto-client", "sotto-coordinator", "sotto-audit"]


def run(program, *arguments, text=None):
    return subprocess.run([BIN / program, *map(str, arguments)], input=text, text=True, capture_output=True, timeout=120)


class Test(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-usage-"))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_programs_tell_their_version_and_link_no_tensor_library(self):
        for program in PROGRAMS:
            told = run(program, "--version")
            self.assertEqual((told.returncode, told.stdout), (0, told.stdout))
            self.assertRegex(told.stdout, rf"^{program} \d+\.\d+\.\d+ \([0-9a-f]{{12}}(-dirty)?\)\n$")
            linked = subprocess.run(["ldd", BIN / program], text=True, capture_output=True, check=True).stdout
            self.assertEqual("libtorch" in linked, program == "sotto-client")
            for outsider in ("zmq", "protobuf", "sqlite"):
                self.assertFalse(program == "sotto-audit" and outsider in linked, outsider)

    def test_every_wrong_use_gives_one_line(self):
        (self.folder / "cut.gguf").write_bytes(b"GGUF\x03\x00\x00\x00\xff\xff\xff\xff")
        (self.folder / "noise.gguf").write_bytes(bytes(range(256)) * 8)
        (self.folder / "wrong.toml").write_text('model = "x.gguf"\ndata = ["r.jsonl"]\n[policy]\nepsilon_limt = 3\n')
        (self.folder / "plan.toml").write_text("rounds = 'many'\n")
        (self.folder / "records.jsonl").write_text('{"patient_id": "p", "instruction": "i", "input": "", "output": "o"}\n{"patient_id": 7\n')
        shutil.copytree(MODEL, self.folder / "model")
        (self.folder / "model/model.safetensors").write_bytes(b"\x00" * 64)
        coordinator = self.folder / "coordinator"
        self.assertEqual(run("sotto-coordinator", "init", "--dir", coordinator, "--listen", "tcp://127.0.0.1:1").returncode, 0)
        cases = [
            (2, "--nonsense", ["sotto-client", "--nonsense"]),
            (2, "command is missing", ["sotto-audit"]),
            (2, "bogus", ["sotto-coordinator", "bogus"]),
            (2, "has no command 'budgt'; did you mean 'budget'? (see 'sotto-client --help')", ["sotto-client", "budgt", "--dir", "x"]),
            (2, "has no option '--noise-multplier'; did you mean '--noise-multiplier'?", ["sotto-audit", "epsilon", "--noise-multplier", "1"]),
            (2, "--model", ["sotto-client", "score"]),
            (1, "nowhere", ["sotto-client", "run", "--dir", self.folder / "nowhere"]),
            (1, "nowhere", ["sotto-audit", "verify", self.folder / "nowhere"]),
            (1, "nowhere", ["sotto-coordinator", "serve", "--dir", self.folder / "nowhere"]),
            (1, "code", ["sotto-client", "join", "not-a-code", "--config", SOURCE / "configs/site.toml", "--declared-size", "100", "--dir", self.folder / "s"]),
            (1, "wrong.toml:4: unknown key 'policy.epsilon_limt'", ["sotto-client", "doctor", "--config", self.folder / "wrong.toml"]),
            (1, "plan.toml", ["sotto-coordinator", "plan", self.folder / "plan.toml", "--dir", coordinator]),
            (1, "cut.gguf", ["sotto-client", "fingerprint", "--model", self.folder / "missing-cut.gguf"]),
            (1, "cut.gguf", ["sotto-client", "score", "--model", self.folder / "cut.gguf"]),
            (1, "noise.gguf", ["sotto-client", "tokenize", "--model", self.folder / "noise.gguf"]),
            (1, "model.safetensors", ["sotto-client", "score", "--model", self.folder / "model"]),
            (1, "cuda:7", ["sotto-client", "score", "--model", MODEL, "--device", "cuda:7"]),
            (1, "records.jsonl:2", ["sotto-client", "eval", "--model", MODEL, "--data", self.folder / "records.jsonl"]),
            (2, "--out", ["sotto-client", "merge", "--model", MODEL, "--adapter", ADAPTER]),
            (1, "--type is 'Q8_0'", ["sotto-client", "merge", "--model", MODEL, "--adapter", ADAPTER, "--out", self.folder / "m", "--type", "Q8_0"]),
            (1, "--shard-mb is 0", ["sotto-client", "merge", "--model", MODEL, "--adapter", ADAPTER, "--out", self.folder / "m", "--shard-mb", "0"]),
            (1, "nowhere/adapter_config.json", ["sotto-client", "merge", "--model", MODEL, "--adapter", self.folder / "nowhere", "--out", self.folder / "m"]),
            (1, "is there already", ["sotto-client", "merge", "--model", MODEL, "--adapter", ADAPTER, "--out", MODEL]),
            (1, "cut.gguf", ["sotto-client", "export", "--model", self.folder / "cut.gguf", "--out", self.folder / "x.gguf"]),
            (1, "--to is 'onnx'", ["sotto-client", "export", "--model", MODEL, "--to", "onnx", "--out", self.folder / "x.gguf"]),
            (1, "--type is 'Q2_K'", ["sotto-client", "export", "--model", MODEL, "--type", "Q2_K", "--out", self.folder / "x.gguf"]),
            (1, "--adapter", ["sotto-client", "export", "--model", MODEL, "--to", "gguf-lora", "--out", self.folder / "x.gguf"]),
            (1, "is a folder", ["sotto-client", "export", "--model", MODEL, "--out", self.folder]),
            (1, "the model itself", ["sotto-client", "export", "--model", GGUF, "--out", GGUF]),
            (1, "nowhere/x.gguf", ["sotto-client", "export", "--model", MODEL, "--out", self.folder / "nowhere/x.gguf"]),
            (1, "-1", ["sotto-audit", "epsilon", "--noise-multiplier", "-1", "--sampling-rate", "0.1", "--steps", "10", "--delta", "1e-5"]),
        ]
        for code, words, (program, *arguments) in cases:
            with self.subTest(program=program, arguments=arguments):
                done = run(program, *arguments, text="")
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(words, done.stderr)
                complaints = [line for line in done.stderr.splitlines() if line.startswith(program)]
                self.assertEqual(len(complaints), 1, done.stderr)

    def commands_of(self, program):
        """Every command that runs something, by its words, from docs/commands.md."""
        text = (SOURCE / "docs/commands.md").read_text()
        return [words.split() for words in re.findall(rf"`{program} ([a-z -]+)`", text)]

    def test_help_of_every_command_names_the_program_and_ends_with_an_example(self):
        for program in PROGRAMS:
            commands = self.commands_of(program)
            self.assertGreater(len(commands), 8)
            for words in commands:
                with self.subTest(program=program, command=words):
                    told = run(program, *words, "--help")
                    self.assertEqual(told.returncode, 0, told.stderr)
                    if "not in this version" in told.stdout:
                        continue
                    name = f"{program} {' '.join(words)}"
                    self.assertIn(f"Usage: {name}", told.stdout)
                    self.assertRegex(told.stdout, rf"Example:\n  {re.escape(name)} \S")
                    self.assertNotRegex(told.stdout, r"e\+\d|=-1\b|\bnan\b")  # a default that means none is not shown

    def test_commands_are_listed_in_groups(self):
        for program, headings in (("sotto-client", ["Records", "In a consortium", "Alone", "Quality", "Models and their files", "The registry of models", "In use"]),
                                  ("sotto-coordinator", ["The coordinator", "Sites", "Runs", "The registry of models"]),
                                  ("sotto-audit", ["A run's record", "Event logs", "The accountant"])):
            told = run(program, "--help").stdout
            self.assertEqual(re.findall(r"^([A-Z][^:]*):$", told, re.M)[-len(headings):], headings)

    def test_the_process_is_called_by_the_programs_name(self):
        process = subprocess.Popen([BIN / "sotto-client", "tokenize", "--model", MODEL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            while b"GOMP_SPINCOUNT" not in Path(f"/proc/{process.pid}/environ").read_bytes():  # until it has started itself again
                self.assertIsNone(process.poll())
            self.assertEqual(Path(f"/proc/{process.pid}/comm").read_text().strip(), "sotto-client")
        finally:
            process.communicate(b"")

    def test_small_epsilons_are_not_shown_as_zero(self):
        told = run("sotto-audit", "epsilon", "--noise-multiplier", "100", "--sampling-rate", "0.001", "--steps", "10", "--delta", "1e-5")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertRegex(told.stdout, r"^epsilon between 5\.6e-06 and 5\.7e-06 at delta")

    def test_commands_of_later_versions_say_so(self):
        cases = [("sotto-coordinator", c) for c in ("resume",)]
        for program, command in cases:
            with self.subTest(program=program, command=command):
                done = run(program, command, "--anything", "else")
                self.assertEqual(done.returncode, 2)
                self.assertIn("not in this version", done.stderr)

    def test_machine_readable_formats(self):
        ids = json.loads(run("sotto-client", "tokenize", "--model", MODEL, "--json", text='{"text": "Type 2 diabetes"}\n').stdout)["ids"]
        self.assertEqual(ids, [428, 223, 20, 445])  # tests/vectors/fixture
        control = json.dumps({"text": "<|im_start|>user\nhi<|im_end|>"}) + "\n"
        self.assertEqual(json.loads(run("sotto-client", "tokenize", "--model", MODEL, "--json", text=control).stdout)["ids"], [1, 359, 201, 74, 75, 2])
        self.assertGreater(len(json.loads(run("sotto-client", "tokenize", "--model", MODEL, "--json", "--plain", text=control).stdout)["ids"]), 6)
        back = run("sotto-client", "tokenize", "--model", MODEL, "--decode", "--json", text=json.dumps({"ids": ids}) + "\n")
        self.assertEqual(json.loads(back.stdout), {"text": "Type 2 diabetes"})
        score = json.loads(run("sotto-client", "score", "--model", MODEL, "--json", text=json.dumps({"ids": ids}) + "\n").stdout)
        self.assertEqual(list(score), ["ids", "token_logprobs", "total", "top"])
        self.assertEqual(len(score["token_logprobs"]), 3)
        self.assertAlmostEqual(sum(score["token_logprobs"]), score["total"], places=9)
        chat = json.loads(run("sotto-client", "chat-template", "--model", MODEL, text='{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "A00"}]}\n').stdout)
        self.assertEqual(list(chat), ["text", "ids", "labels"])
        self.assertEqual(len(chat["ids"]), len(chat["labels"]))
        epsilon = json.loads(run("sotto-audit", "epsilon", "--noise-multiplier", "1", "--sampling-rate", "0.01", "--steps", "10000", "--delta", "1e-5", "--accountant", "rdp", "--json").stdout)
        self.assertLessEqual(epsilon["epsilon_upper"], 6.7129)  # dp-accounting 0.6, RDP: 6.7128
        self.assertGreaterEqual(epsilon["epsilon_upper"], 6.1877)  # its PLD value
        self.assertEqual(epsilon["accountant"], "rdp")
        for accountant, reference in (("rdp", 1.66186), ("pld", 1.56499)):  # dp-accounting 0.6
            sigma = json.loads(run("sotto-audit", "calibrate", "--epsilon", "3", "--delta", "1e-5", "--sampling-rate", "0.01", "--steps", "10000", "--accountant", accountant, "--json").stdout)
            self.assertLessEqual(sigma["epsilon_upper"], 3)
            self.assertLess(abs(sigma["noise_multiplier"] - reference), 1e-3)

    def test_a_site_says_what_it_waits_for_and_doctor_asks_the_coordinator(self):
        with Small(3) as f:
            f.enrol()
            first, second = f.names[:2]
            told = f.client(first, "doctor", "--json")
            self.assertIn("lets this site in", json.loads(told.stdout)["coordinator"])
            f.coordinator("revoke", first)
            revoked = f.client(first, "doctor", check=False)
            self.assertEqual(revoked.returncode, 1, revoked.stdout)
            self.assertIn("revoked", revoked.stderr)
            self.assertNotIn("all is in place", revoked.stdout)
            f.processes["coordinator"].terminate()
            f.processes["coordinator"].wait(20)
            f.run_site(second)
            wait_until(lambda: "waiting_for_coordinator" in f.tail(second), 60, "the site to say what it waits for", lambda: f.check_alive([second]))

    def test_a_site_folder_is_closed_to_others(self):
        with Small(3) as f:
            f.enrol()
            for folder in (f.coordinator_dir, *(f.site_dir(n) for n in f.names)):
                self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
                for key in folder.glob("*.key"):
                    self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)


if __name__ == "__main__":
    unittest.main()
