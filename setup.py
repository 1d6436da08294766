"""The distribution `fruits-lakehouse`: its packages, settings and platform, and the command `fruits`."""

from setuptools import find_packages, setup

# tensorflow-cpu has wheels for these alone.
TENSORFLOW_CPU = "(platform_system == 'Linux' and platform_machine == 'x86_64') or platform_system == 'Windows'"
TENSORFLOW = "platform_system == 'Darwin' or (platform_system == 'Linux' and platform_machine != 'x86_64')"

setup(
    name="fruits-lakehouse",
    version="0.1.0",
    description="A medallion lakehouse for photographs: Delta Lake, MobileNetV2 and MLflow, here or on Spark.",
    license="MIT",
    python_requires=">=3.11",
    packages=[
        *find_packages(
            include=["fruits", "fruits.*", "gold", "silver", "silver.*", "bronze", "lakehouse", "lakehouse.*"]
        ),
        "lakehouse.conf",
        "lakehouse.bootstrap",
    ],
    package_dir={"lakehouse.conf": "conf", "lakehouse.bootstrap": "bootstrap"},
    package_data={
        "fruits.app": ["*.css", "*.js", "*.svg", "templates/*.html"],
        "fruits.pages": ["plot.js", "templates/*.html"],
        "fruits.report": ["page.css", "page.js", "templates/*.html"],
        "lakehouse.conf": ["*.yaml", "*.properties"],
        # What a cluster needs; job.py is a module, so it comes anyway. The laptop's own locks and checks stay out.
        "lakehouse.bootstrap": ["emr.sh", "requirements-emr*.lock", "infrastructure.json"],
    },
    entry_points={"console_scripts": ["fruits = fruits.__main__:main"]},
    install_requires=[
        # The engine `spark`. Exact, for Spark, Delta and Hadoop (3.4.2) are one triple: Amazon EMR's emr-spark-8.1.0.
        "pyspark==4.1.1",
        "delta-spark==4.2.0",
        # The model's source; imported once, by the process that converts it.
        f"tensorflow-cpu>=2.21; {TENSORFLOW_CPU}",
        f"tensorflow>=2.21; {TENSORFLOW}",
        # The model's runtime, a fourth of the time and a seventh of the memory.
        "ai-edge-litert>=2.3",
        # Photographs and numbers.
        "pillow>=13.0",
        "pillow-heif>=1.8",  # HEIC; Pillow itself reads AVIF
        "numpy>=2.4",
        "pyarrow>=25.0",
        "pandas>=3.1",  # Spark's Arrow exchange asks for it
        # Models and their versions; skops keeps them without pickle.
        "mlflow>=3.17",
        "scikit-learn>=1.9",
        "skops>=0.16",
        # Pictures of a fit: one for the eye, one to move about in.
        "matplotlib>=3.11",
        "plotly>=7.1",
        # Tables without Java: the log and small tables; SQL.
        "deltalake>=1.6",
        "duckdb>=2.0",
        # S3: conditional writes, which the lease stands on.
        "boto3>=1.44",
        # Photographs from S3: a tenth of boto3's time for a request, and the interpreter is free meanwhile.
        "obstore>=0.12",
        # What EMR Serverless is given: the nodes' packages for another platform, in seconds where pip takes minutes.
        "uv>=0.9",
        # The page of `fruits app`; MLflow brings both anyway.
        "fastapi>=0.165",
        "uvicorn>=0.54",
        # HTML from templates in which text from data is escaped; MLflow brings both anyway.
        "jinja2>=3.1",
        "markupsafe>=3.0",  # names what is markup already
        # Settings and the command.
        "pydantic>=2.14",
        "pyyaml>=6.0",
        "typer>=0.29",
        "rich>=15.0",
        # The prompt of `fruits sql`: questions of several lines, with history and completion.
        "prompt-toolkit>=3.0.53",
    ],
    extras_require={
        "test": [
            "chispa>=0.12",
            "pytest>=9.2",
            "pytest-xdist>=3.8",
            "hypothesis>=6.170",
            "ruff>=0.17",
            "mypy>=2.4",
            "types-PyYAML>=6.0",
            "import-linter>=2.16",
            # The platform: its template is linted and created, its bootstrap fetches from a real S3 server.
            "cfn-lint>=1.58",
            "moto[server]>=5.2",
            "awscli>=1.46",
            # AWS in a box: certificates for AWS's own names.
            "trustme>=1.2",
            # The pages are looked at in a browser, Debian's Chromium; the tests skip where that is missing.
            "playwright>=1.65",
        ]
    },
)
